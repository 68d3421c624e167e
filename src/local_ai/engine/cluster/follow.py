"""python -m local_ai.engine.cluster.follow: a rank that does what rank 0 orders."""

import logging
import os
import queue
import signal
import tempfile
from pathlib import Path

from local_ai.engine.cluster.channel import Channel, Message
from local_ai.engine.cluster.join import join, tell_mlx
from local_ai.engine.process.blas import preload_blas
from local_ai.engine.process.environment import limits_as_they_are, tell_libraries
from local_ai.errors import LocalAIError
from local_ai.serving.imports import undisturbed_imports
from local_ai.serving.nonblocking_log import log_without_blocking

log = logging.getLogger(__name__)


def _follow(channel: Channel) -> None:
    """Do what is ordered, for ever."""
    orders: queue.SimpleQueue[Message] = queue.SimpleQueue()
    channel.start(lambda message: orders.put(message) if "order" in message else None)
    try:
        preload_blas(channel.hello.blas)
    except LocalAIError as exc:
        log.warning("%s", exc)
    tell_mlx(channel.hello)
    with undisturbed_imports(), limits_as_they_are():
        from local_ai.engine.cluster.follower import Follower
        from local_ai.engine.core.device import choose_device
        from local_ai.engine.core.residents import spare_compiler
    choose_device(channel.hello.device)
    spare_compiler()
    follower = Follower(channel, join(channel))
    log.info("rank %d of %d follows", channel.hello.rank, channel.hello.size)
    while True:
        channel.state = lambda: "ready"
        order = orders.get()
        channel.state = lambda: "loading" if order["order"] == "load" else "busy"  # noqa: B023
        follower.do(order)


def main() -> None:
    """Follow until the launcher is gone; words on the command line only tell people whose it is."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # rank 0 ends in order, and this one by the end of its stdin
    channel = Channel()
    log_without_blocking(channel.hello.log_level)
    tell_libraries(os.environ, Path(tempfile.gettempdir()))
    try:
        _follow(channel)
    except Exception:
        log.critical("rank %d cannot go on", channel.hello.rank, exc_info=True)
    logging.shutdown()
    os._exit(os.EX_SOFTWARE)


if __name__ == "__main__":
    main()

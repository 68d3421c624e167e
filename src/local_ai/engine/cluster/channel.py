"""A rank's line to the launcher: JSON lines on what were its stdin and stdout, the same on any host.

    launcher ──stdin──▶ hello · what other ranks say · the ranks as they are
    launcher ◀─stdout── signs of life · orders (rank 0) · what was done (the others)

The end of stdin is the end of the launcher, by whatever means, and so of the rank: nobody would stop it then.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
from pydantic import TypeAdapter

from local_ai.engine.cluster.plan import Hello

log = logging.getLogger(__name__)

Message = dict[str, Any]


class Channel:
    """One rank's end of it; messages are sent by any thread and received by one of its own."""

    def __init__(self) -> None:
        """Take stdin and stdout over; what prints from now on writes to stderr, the log."""
        self._out = os.dup(1)
        self._in = os.fdopen(os.dup(0), "rb")
        os.dup2(2, 1)
        quiet = os.open(os.devnull, os.O_RDONLY)
        os.dup2(quiet, 0)
        os.close(quiet)
        self._lock = threading.Lock()
        self._heard = time.monotonic()
        self.hello = TypeAdapter(Hello).validate_json(self._in.readline())
        self._met = threading.Event()
        self.state: Callable[[], str] = lambda: "importing"

    def send(self, message: Message) -> None:
        """Send a message; it waits while the launcher reads nothing."""
        with self._lock:
            self._write(message)

    def _write(self, message: Message) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        while line:
            line = line[os.write(self._out, line) :]

    def meet(self) -> None:
        """Wait until all ranks wait here.

        `mx.distributed.init` holds Python's lock while it waits for the others (measured with mlx 0.32): a
        rank gives no sign of life meanwhile, and would count as lost where another one imports slowly.
        """
        self.send({"meets": self.hello.rank})
        self._met.wait()

    def start(self, receive: Callable[[Message], None]) -> None:
        """Begin to send signs of life, and to receive: `receive` is called on a thread of the channel."""
        threading.Thread(target=self._listen, args=(receive,), name="channel", daemon=True).start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def _listen(self, receive: Callable[[Message], None]) -> None:
        try:
            for line in self._in:
                self._heard = time.monotonic()
                message = json.loads(line)
                if "met" in message:
                    self._met.set()
                else:
                    receive(message)
        except Exception:
            log.critical("a message of the launcher's cannot be used, so this rank ends", exc_info=True)
        self.leave()

    def leave(self) -> None:
        """End this process at once: not in order, for it may be in a step that waits for other ranks."""
        logging.shutdown()
        os._exit(os.EX_UNAVAILABLE)

    def _beat(self) -> None:
        process = psutil.Process()
        beat_s, before = self.hello.beat_s, time.monotonic()
        while True:
            now = time.monotonic()
            if now - before > self.hello.silence_s / 2:  # this process was paused itself
                self._heard = now
            before = now
            if now - self._heard > self.hello.silence_s:
                self._launcher_is_silent()
            self._send_sign({"beat": self.state(), "pid": os.getpid(), "memory": _memory(process)})
            time.sleep(beat_s)

    def _send_sign(self, sign: Message) -> None:
        """Send a sign of life; not behind a message for which the launcher does not make room."""
        if self._lock.acquire(timeout=self.hello.beat_s):
            try:
                self._write(sign)
            except OSError:
                self.leave()
            finally:
                self._lock.release()

    def _launcher_is_silent(self) -> None:
        log.error("the launcher has been silent for %g s, so this rank ends", self.hello.silence_s)
        if self.hello.rank == 0 and os.getppid() > 1:
            os.kill(os.getppid(), 9)  # supervisord starts a new one only once this one is gone
        self.leave()


def _memory(process: psutil.Process) -> int:
    """Return the memory that this rank holds, in bytes: on a graphics card it is not the process's own."""
    mlx = sys.modules.get("mlx.core")
    active = mlx.get_active_memory() if mlx is not None and hasattr(mlx, "get_active_memory") else 0
    return max(int(process.memory_info().rss), int(active))

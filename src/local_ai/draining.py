"""Let running answers finish before a stop, while new requests are told to come back."""

from __future__ import annotations

import time
from collections.abc import Callable

from local_ai.frozen import dataclass
from local_ai.paths import Paths
from local_ai.probe import probe_gateway
from local_ai.program import GATEWAY, Queue
from local_ai.rpc import SupervisorClient, SupervisorFault, SupervisorHung, SupervisorUnreachable
from local_ai.target import Target

_POLL_S = 0.1


@dataclass(frozen=True)
class Drained:
    """What became of the answers that were running when the stop came."""

    finished: int = 0
    cut: int = 0


def drain(
    target: Target,
    paths: Paths,
    queue: Queue | None,
    say: Callable[[str], None],
    ask: Callable[[], Queue | None] | None = None,
) -> Drained:
    """Close the gateway for new requests and wait for those that run; Ctrl-C ends the wait.

    Args:
        target: The running server; `drain_s` bounds the wait.
        queue: What it had to do at the last look.
        ask: Looks again; by default at the gateway itself.
    """
    running = queue.running if queue else 0
    if not running or not target.drain_s or not _close(paths):
        return Drained(cut=running)
    ask = ask or (lambda: probe_gateway(target.host, target.port))
    deadline = time.monotonic() + target.drain_s
    left = running
    try:
        while left and (rest_s := deadline - time.monotonic()) > 0:
            say(f"Waiting for {_answers(left)} to finish (Ctrl-C cuts off), {rest_s:.0f} s")
            time.sleep(_POLL_S)
            now = ask()
            left = min(left, now.running) if now else 0
    except KeyboardInterrupt:
        pass
    return Drained(finished=running - left, cut=left)


def _close(paths: Paths) -> bool:
    try:
        SupervisorClient(paths.supervisor_socket).signal(GATEWAY, "USR1")
    except (SupervisorFault, SupervisorHung, SupervisorUnreachable):
        return False
    return True


def _answers(count: int) -> str:
    return "1 running answer" if count == 1 else f"{count} running answers"

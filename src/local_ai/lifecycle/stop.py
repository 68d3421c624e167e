"""The steps of a stop: drain, ask, wait, then make sure; and end what a dead supervisord left behind."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from local_ai.settings.paths import Paths
from local_ai.settings.state import Target, write_private
from local_ai.status.health import Queue
from local_ai.status.probe import is_listening, probe_gateway
from local_ai.supervision import supervisord
from local_ai.supervision.program import GATEWAY
from local_ai.supervision.rpc import SupervisorClient, SupervisorError

_POLL_S = 0.02
_DRAIN_POLL_S = 0.1
_SILENT_S = 5.0  # for a busy gateway to say what it has to do
# supervisord's own end takes tens of milliseconds once its programs are gone.
_SHUTDOWN_S = 5.0
_KILL_S = 5.0


@dataclass(frozen=True)
class Ended:
    """The processes that were found running and ended."""

    any: bool
    forced: bool


def stop_supervised(paths: Paths, pid: int | None, *, force: bool, timeout_s: float) -> bool:
    """Stop all programs and supervisord.

    Faster than supervisord's own shutdown, which looks at its programs once a second, and than waiting
    stops, which burn a core.

    Returns:
        Whether SIGKILL was used.
    """
    client = SupervisorClient(paths.supervisor_socket)
    for name in _alive(client):
        _ask(client.stop, name)
        if force:
            _ask(client.kill, name)
    forced = force
    if not _wait_stopped(client, timeout_s):
        forced = True
        for name in _alive(client):
            _ask(client.kill, name)
        _wait_stopped(client, _KILL_S)
    _shut_down(client, paths, pid)
    return forced


def end_leftovers(paths: Paths, *, grace_s: float) -> Ended:
    """End a supervisord that lost its socket, and programs that lost their supervisord."""
    lost = supervisord.find_supervisord(paths)
    if lost and supervisord.is_in_foreground(lost):
        write_private(paths.killed_pid, f"{lost.pid}\n")
    forced = supervisord.end_processes([lost], grace_s=grace_s) if lost else False
    orphans = supervisord.find_orphans(paths)
    forced = supervisord.end_processes(orphans, grace_s=grace_s) or forced
    return Ended(any=bool(lost or orphans), forced=forced)


def _shut_down(client: SupervisorClient, paths: Paths, pid: int | None) -> None:
    _ask(client.shutdown)
    if pid is None:
        return
    deadline = time.monotonic() + _SHUTDOWN_S
    while not supervisord.wait_gone(pid, timeout_s=_POLL_S):
        client.poke()  # its loop would else sleep out its second
        if time.monotonic() > deadline:
            end_leftovers(paths, grace_s=0)
            return


def _wait_stopped(client: SupervisorClient, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while _alive(client):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _alive(client: SupervisorClient) -> list[str]:
    try:
        return [info.name for info in client.processes() if info.state.is_alive]
    except SupervisorError:
        return []


def _ask(call: Callable[..., None], *arguments: str) -> None:
    """Make a call whose refusal does not matter: the wait that follows sees what became of it."""
    try:
        call(*arguments)
    except SupervisorError:
        return


@dataclass(frozen=True)
class Drained:
    """The fate of the answers that were running when the stop came."""

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
        queue: What it had to do at the last look; None asks again, for the gateway may be busy.
        ask: Looks again, None where it gets no answer; by default at the gateway itself.
    """
    ask = ask or (lambda: probe_gateway(target.host, target.port))
    if queue is None and target.drain_s:
        queue = _ask_again(ask, SupervisorClient(paths.supervisor_socket), target)
    running = queue.all_running if queue else 0
    if not running or not target.drain_s or not _close(paths):
        return Drained(cut=running)
    deadline = time.monotonic() + target.drain_s
    left = running
    try:
        while left and (rest_s := deadline - time.monotonic()) > 0:
            answers = "1 running answer" if left == 1 else f"{left} running answers"
            say(f"Waiting for {answers} to finish (Ctrl-C cuts them off), {rest_s:.0f} s")
            time.sleep(_DRAIN_POLL_S)
            # A gateway too busy to answer in time still has them; one that ended is restarted, and has none.
            if now := ask():
                left = min(left, now.all_running)
    except KeyboardInterrupt:
        pass
    return Drained(finished=running - left, cut=left)


def _ask_again(ask: Callable[[], Queue | None], client: SupervisorClient, target: Target) -> Queue | None:
    """Ask a gateway that gave no answer until it does; None where it does not run, or stays silent."""
    deadline = time.monotonic() + min(target.drain_s, _SILENT_S)
    while GATEWAY in _alive(client) and is_listening(target.host, target.port):
        if (queue := ask()) or time.monotonic() > deadline:
            return queue
        time.sleep(_DRAIN_POLL_S)
    return None


def _close(paths: Paths) -> bool:
    try:
        SupervisorClient(paths.supervisor_socket).signal(GATEWAY, "USR1")
    except SupervisorError:
        return False
    return True

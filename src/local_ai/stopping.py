"""The steps of a stop: ask, wait, then make sure; and end what a dead supervisord left behind."""

from __future__ import annotations

import time
from collections.abc import Callable

from local_ai import daemon
from local_ai.frozen import dataclass
from local_ai.paths import Paths
from local_ai.rpc import SupervisorClient, SupervisorFault, SupervisorHung, SupervisorUnreachable

_POLL_S = 0.02
# supervisord's own end takes tens of milliseconds once its programs are gone.
_SHUTDOWN_S = 5.0
_KILL_S = 5.0


@dataclass(frozen=True)
class Ended:
    """What was found running and ended."""

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
    supervisord = daemon.find_supervisord(paths)
    forced = daemon.end_processes([supervisord], grace_s=grace_s) if supervisord else False
    orphans = daemon.find_orphans(paths)
    forced = daemon.end_processes(orphans, grace_s=grace_s) or forced
    return Ended(any=bool(supervisord or orphans), forced=forced)


def _shut_down(client: SupervisorClient, paths: Paths, pid: int | None) -> None:
    _ask(client.shutdown)
    if pid is None:
        return
    deadline = time.monotonic() + _SHUTDOWN_S
    while not daemon.wait_gone(pid, timeout_s=_POLL_S):
        daemon.poke(paths)  # its loop would else sleep out its second
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
    except (SupervisorFault, SupervisorHung, SupervisorUnreachable):
        return []


def _ask(call: Callable[..., None], *arguments: str) -> None:
    """Make a call whose refusal does not matter: the wait that follows sees what became of it."""
    try:
        call(*arguments)
    except (SupervisorFault, SupervisorHung, SupervisorUnreachable):
        return

"""The verb `reload`: changed settings into a running server, without a restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from local_ai.errors import ServerError
from local_ai.settings.state import State, read_state
from local_ai.status.probe import find_revision
from local_ai.supervision.lock import exclusive
from local_ai.supervision.program import GATEWAY
from local_ai.supervision.reload import reload_settings
from local_ai.supervision.rpc import SupervisorClient, SupervisorError, SupervisorUnreachable

if TYPE_CHECKING:
    from local_ai.settings.paths import Paths
    from local_ai.settings.reload import Reload

_LOCK_S = 60.0
_GATEWAY_S = 10.0  # far longer than it takes: it has to read two files
_POLL_S = 0.02


def reload(paths: Paths) -> Reload:
    """Have the running server take what can change in place; return once it has.

    Raises:
        ConfigError: Something in the file is wrong; nothing was changed.
        ServerError: No server runs (exit 3), or it did not take them.
    """
    client = SupervisorClient(paths.supervisor_socket)
    try:
        client.pid()
    except SupervisorUnreachable as exc:
        raise ServerError(
            "no settings were changed",
            why="the server is not running; it reads them when it starts",
            command="local-ai server start",
            exit_code=3,
        ) from exc
    except SupervisorError as exc:
        raise _not_taken(f"supervisord does not answer: {exc}") from exc
    with exclusive(paths.lock, timeout_s=_LOCK_S):
        state, result = reload_settings(read_state(paths.state_file))
        if result.changed:
            _tell_gateway(client, state)
        return result


def _tell_gateway(client: SupervisorClient, state: State) -> None:
    server = state.settings.server
    try:
        client.signal(GATEWAY, "HUP")
    except SupervisorError:  # it does not run now, and reads them when it starts
        return
    began = time.monotonic()
    while time.monotonic() < began + _GATEWAY_S:
        if find_revision(server.host, server.port) == state.revision:
            return
        time.sleep(_POLL_S)
    raise _not_taken(f"the gateway did not say within {_GATEWAY_S:g} s that it has them")


def _not_taken(why: str) -> ServerError:
    return ServerError("the settings were not taken", why=why, command="local-ai server restart")

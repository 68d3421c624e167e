"""Learn at once that the engine has ended, by a connection that carries nothing.

supervisord notices the end of a program at once too, but starts it again only when its loop comes round, up
to a second later; any question wakes it.
"""

import asyncio

from local_ai.gateway.upstream.monitor import Monitor
from local_ai.settings.state import State
from local_ai.supervision.rpc import SupervisorClient

_RECONNECT_S = 0.25
# The first may come before supervisord has seen the end; the last well after.
_POKES_S = (0.05, 0.2, 0.5)


async def watch_liveness(state: State, watch: Monitor) -> None:
    """Hold a connection to the engine, whichever runs, until cancelled."""
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(str(state.paths.engine_socket))
        except OSError:
            await asyncio.sleep(_RECONNECT_S)
            continue
        try:
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()
        watch.engine_is_gone()
        for pause_s in _POKES_S:
            await asyncio.sleep(pause_s)
            await asyncio.to_thread(SupervisorClient(state.paths.supervisor_socket).poke)

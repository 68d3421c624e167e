"""The engine's HTTP server, and how it ends: what still runs after a moment is cut off, not answered."""

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local_ai.serving.joined_writes import JoinedWrites

_GRACE_S = 2.0  # from SIGTERM until running answers are cut off
_TIDY_S = 1.0  # more, for what was cut off to end by itself
_KEEP_ALIVE_S = 3600  # far longer than the gateway keeps a connection: it is always the one to close it
_TICKS_PER_SECOND = 10


class _Protocol(HttpToolsProtocol):
    """One connection of the gateway's."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]


class EngineServer(uvicorn.Server):
    """A uvicorn that closes the connections of what it cannot finish.

    uvicorn itself would cancel the requests, which their clients see as bare 500s. A connection that ends
    tells the gateway what it needs to know: to send the request again, or that the server is stopping.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, renews: Callable[[], bool]) -> None:
        """Serve an application; `renews` is asked each second whether to end, and restart in place."""
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=int(_GRACE_S + _TIDY_S),
                timeout_keep_alive=_KEEP_ALIVE_S,
            )
        )

        self._listener = listener
        self._renews = renews
        self.kept: socket.socket | None = None  # the listener, for the engine that restarts in place

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn, each tenth of a second."""
        is_quiet = not self.should_exit and not self.server_state.tasks
        if is_quiet and counter % _TICKS_PER_SECOND == 0 and self._renews():
            # Only now: while a listener is held open, a stop would leave clients waiting on it.
            self.kept = self._listener.dup()
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running answers finish for a moment, then cut them off."""
        cutting = asyncio.get_running_loop().call_later(_GRACE_S, self._cut)
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    def _cut(self) -> None:
        for connection in [*self.server_state.connections]:
            connection.transport.abort()

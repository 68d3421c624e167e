"""Listen on the public address and serve until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from local_ai.errors import ServerError
from local_ai.gateway.listener.file_limits import ACCEPTED_AT_ONCE, most_connections
from local_ai.serving.imports import undisturbed_imports
from local_ai.settings.state import State
from local_ai.supervision.lock import is_held

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from local_ai.gateway.context import GatewayContext

_LOG = logging.getLogger("local_ai.gateway")
EXIT_CANNOT_LISTEN = 3
# A little longer than ForwardingContext.grace_s, after which answers cut short say so themselves.
_GRACE_S = 4
_REOPEN_S = 20.0
_BACKLOG = 2048  # connections that wait to be accepted


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen: from now on clients wait for an answer instead of being refused.

    Raises:
        ServerError: The address cannot be used; exit code 3.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as exc:
        raise ServerError(
            "the gateway did not start",
            why=f"{host}:{port} cannot be listened on: {exc.strerror or exc}",
            fix="stop what uses that port, or set server.port in config.toml, then run",
            command="local-ai server start",
            exit_code=EXIT_CANNOT_LISTEN,
        ) from exc
    return listener


async def serve(state: State, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    # These take a tenth of a second and more, in which the socket already listens.
    with undisturbed_imports():
        import uvicorn

        from local_ai.gateway.app import make_app
        from local_ai.gateway.context import make_context
        from local_ai.gateway.reload import take_or_reload
        from local_ai.gateway.web.page import prepare_page

        prepare_page()

    class Server(uvicorn.Server):
        """A uvicorn that tells the waiting requests and open log streams to end."""

        def __init__(self, config: uvicorn.Config, context: GatewayContext) -> None:
            super().__init__(config)
            self._context = context

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            # asyncio takes one number for both, what waits and what it accepts in one turn.
            listener.listen(_BACKLOG)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self._context.forwarding.shutdown.stop()
            super().handle_exit(sig, frame)

    context = make_context(state)
    config = uvicorn_config(make_app(context), most=most_connections(state.settings))
    # Left closed by a stop that was itself ended: it opens again well after that stop would have been over.
    close = partial(
        context.forwarding.shutdown.close, reopen_after_s=2 * state.settings.server.drain_s + _REOPEN_S
    )
    loop = asyncio.get_running_loop()

    def close_for_a_stop() -> None:
        # Only a stop that waits for running answers means it, and it holds the lock meanwhile.
        if is_held(state.paths.lock):
            close()
        else:
            _LOG.info("SIGUSR1 is ignored: no stop is under way")

    loop.add_signal_handler(signal.SIGUSR1, close_for_a_stop)
    reloads: set[asyncio.Task[None]] = set()  # kept, or a task may be collected before it has run

    def take_settings() -> None:
        task = loop.create_task(take_or_reload(context))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, take_settings)
    await Server(config, context).serve([listener])


def uvicorn_config(app: ASGIApp, *, most: int | None = None) -> uvicorn.Config:
    """Return how the gateway is served, here and in tests."""
    import uvicorn

    from local_ai.gateway.listener.protocol import BoundedProtocol

    return uvicorn.Config(
        app,
        loop="asyncio",
        http=BoundedProtocol,
        limit_concurrency=most,
        backlog=ACCEPTED_AT_ONCE,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )

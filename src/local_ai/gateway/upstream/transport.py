"""httpx over a unix socket by asyncio's streams: head and body of a request go out in one write.

httpcore itself writes them apart, each after some turns of the event loop, and wakes the engine up twice: a
tenth of the time to a stream's first event. anyio's sockets, which it uses otherwise, also wrote a traceback
(InvalidStateError) where a client left just as bytes came. Imported when first used.
"""

from __future__ import annotations

import asyncio
import select
from pathlib import Path
from typing import Any

import httpcore
import httpx

_IDLE_S = 60.0  # the engine keeps an idle connection for longer
_MAX_IDLE = 16


class UnixTransport(httpx.AsyncHTTPTransport):
    """httpx's transport with a pool of its own, which httpx gives no other way to choose."""

    def __init__(self, socket_path: Path) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=None,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_IDLE_S,
            uds=str(socket_path),
            network_backend=_UnixBackend(),
        )


class _UnixBackend(httpcore.AsyncNetworkBackend):
    """Connects to unix sockets alone."""

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as exc:
            raise httpcore.ConnectError from exc
        return _UnixStream(reader, writer)


class _UnixStream(httpcore.AsyncNetworkStream):
    """Holds what is written until an answer is waited for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._held: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            if self._held:
                self._writer.write(b"".join(self._held))
                self._held.clear()
                await self._writer.drain()
            return await self._reader.read(max_bytes)
        except OSError as exc:
            raise httpcore.ReadError from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._held.append(buffer)

    async def aclose(self) -> None:
        self._writer.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """Tell whether an idle connection has ended, which httpcore calls readable."""
        if info != "is_readable":
            return None
        poll = select.poll()
        poll.register(self._writer.get_extra_info("socket"), select.POLLIN)
        return bool(poll.poll(0))

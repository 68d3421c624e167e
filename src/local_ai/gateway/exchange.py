"""One request to the engine over a connection of its own, and the answer as it comes.

A connection per request: after a crash none can be a dead one, and closing it is how a request is cancelled.
A general client costs 0.2 s to import and a millisecond a request; this is httptools' parser on a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httptools

# Sizes and hops are ours to say; the rest of the engine's headers are the client's.
_NOT_PASSED_BACK = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
# A client that reads slowly slows the engine's socket down, not our memory up.
_MOST_UNREAD = 256 * 1024


class EngineGone(Exception):
    """The engine closed the connection before its answer was whole."""


class EngineAbsent(Exception):
    """Nobody listens on the engine's socket; nothing was sent."""


class Exchange(asyncio.Protocol):
    """A request that was sent, and what has come back of its answer."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._has_head = False
        self._is_whole = False
        self._is_lost = False
        self._is_paused = False

    async def head(self) -> None:
        """Wait until status and headers are here.

        Raises:
            EngineGone: The connection ended before.
        """
        while not self._has_head:
            if self._is_lost:
                raise EngineGone
            await self._news()

    async def read(self) -> bytes:
        """Return what has come since the last call, waiting for something; b"" once all has been read.

        Raises:
            EngineGone: The connection ended before the answer did.
        """
        while not self._unread:
            if self._is_whole:
                return b""
            if self._is_lost:
                raise EngineGone
            await self._news()
        chunk = bytes(self._unread)
        self._unread.clear()
        self._set_reading(True)
        return chunk

    async def read_all(self) -> bytes:
        """Return the whole body; raises like `read`."""
        body = bytearray()
        while chunk := await self.read():
            body += chunk
        return bytes(body)

    @property
    def passed_back(self) -> dict[str, str]:
        """The headers that are the client's."""
        return {name: value for name, value in self.headers.items() if name not in _NOT_PASSED_BACK}

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    def close(self) -> None:
        """Close the connection, which cancels what has not come yet."""
        if self._transport is not None:
            self._transport.abort()

    async def _news(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _set_reading(self, wanted: bool) -> None:
        if self._transport is None or wanted is not self._is_paused or self._is_lost:
            return
        self._is_paused = not wanted
        (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse what has come; what is no HTTP is as good as none."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._is_lost = True
            self.close()
        if len(self._unread) > _MOST_UNREAD:
            self._set_reading(False)
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing more comes."""
        self._is_lost = True
        self._tell()

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note that the answer has begun."""
        self.status = self._parser.get_status_code()
        self._has_head = True

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        self._unread += data

    def on_message_complete(self) -> None:
        """Note that the answer is whole."""
        self._is_whole = True


async def send_request(
    socket_path: Path, method: str, target: str, headers: Mapping[str, str], body: bytes
) -> Exchange:
    """Send a request; returns once its answer has begun.

    Args:
        target: The path, with its query.
        headers: Of the client's, what the engine is to see; printable Latin-1.

    Raises:
        EngineAbsent: Nobody listens.
        EngineGone: The connection ended before the answer began.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, exchange = await loop.create_unix_connection(Exchange, str(socket_path))
    except OSError as exc:
        raise EngineAbsent from exc
    try:
        transport.write(_head(method, target, headers, len(body)) + body)
        await exchange.head()
    except BaseException:
        exchange.close()
        raise
    return exchange


def _head(method: str, target: str, headers: Mapping[str, str], size: int) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "host: engine", "connection: close", f"content-length: {size}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")

"""Connections to the engine's socket, kept for the next request where an answer has left them whole.

    idle ─request▶ busy ─answer whole▶ idle …            idle ─unused for a while, or the engine ends▶ closed
                    └ the client leaves, the answer breaks off, the engine ends ▶ closed

Closing is how a request is cancelled. The engine never closes an idle one before we do (its keep-alive is
longer than `_IDLE_S`), so one that ends with a request on it tells that the engine ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from local_ai.gateway.upstream.exchange import EngineAbsent, Exchange, request_head

_IDLE_S = 60.0
_MOST_IDLE = 16


class _Connection(asyncio.Protocol):
    """One connection, with at most one exchange on it."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    def send(self, head: bytes, body: bytes) -> Exchange:
        """Send a request on it."""
        assert self._transport is not None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        self._exchange = Exchange(self._transport, self._release)
        self._transport.write(head + body)
        return self._exchange

    @property
    def is_closing(self) -> bool:
        """Whether it has ended, told or not."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """End it, and with it what is under way."""
        if self._transport is not None:
            self._transport.abort()

    def _release(self, exchange: Exchange) -> None:
        self._exchange = None
        assert self._transport is not None
        is_whole = exchange.leaves_connection_usable and not self._transport.get_write_buffer_size()
        if is_whole and not self.is_closing and len(self._pool.idle) < _MOST_IDLE:
            self._idle_timer = asyncio.get_running_loop().call_later(self._pool.idle_s, self.close)
            self._pool.idle.append(self)
        else:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand on what has come; nothing may come unasked."""
        if self._exchange is not None:
            self._exchange.feed(data)
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it cannot be used again."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self in self._pool.idle:
            self._pool.idle.remove(self)
        if self._exchange is not None:
            self._exchange.lose()


class Connections:
    """The connections to one engine."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self.idle: list[_Connection] = []
        self.idle_s = _IDLE_S

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        """Send a request; returns once its answer has begun.

        Args:
            target: The path, with its query.
            headers: Of the client's, what the engine is to see; printable Latin-1.

        Raises:
            EngineAbsent: Nobody listens.
            EngineGone: The connection ended before the answer began.
        """
        head = request_head(method, target, headers, len(body))
        while self.idle and self.idle[-1].is_closing:
            self.idle.pop()
        connection = self.idle.pop() if self.idle else await self._connect()
        exchange = connection.send(head, body)
        try:
            await exchange.head()
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(
                lambda: _Connection(self), str(self._socket_path)
            )
        except OSError as exc:
            raise EngineAbsent from exc
        return connection

"""One request to the engine, and its answer as it comes.

A general client costs 0.2 s to import and a millisecond a request; this is httptools' parser on a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import httptools

# Sizes and hops are ours to say; the rest of the engine's headers are the client's.
_NOT_PASSED_BACK = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
# A client that reads slowly slows the engine's socket down, not our memory up.
_MOST_UNREAD = 256 * 1024


class EngineGone(Exception):
    """The engine closed the connection before its answer was whole."""


class EngineAbsent(Exception):
    """Nobody listens on the engine's socket; nothing was sent."""


class Source(Protocol):
    """Where an answer's bytes come from, and can be held up."""

    def pause_reading(self) -> None:
        """Let them wait."""

    def resume_reading(self) -> None:
        """Let them come again."""


class Exchange:
    """A request that was sent, and what has come back of its answer."""

    def __init__(self, source: Source, release: Callable[[Exchange], None]) -> None:
        """Expect an answer.

        Args:
            release: Told once that nothing more of it is wanted.
        """
        self.status = 0
        self.headers: dict[str, str] = {}
        self._source = source
        self._release: Callable[[Exchange], None] | None = release
        self._parser = httptools.HttpResponseParser(self)
        self._unread = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._has_head = False
        self._is_whole = False
        self._keeps_alive = False
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
        if self._is_paused and not self._is_lost:
            self._is_paused = False
            self._source.resume_reading()
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

    @property
    def leaves_connection_usable(self) -> bool:
        """Whether another request can follow on the same connection."""
        return self._keeps_alive and not self._is_lost and not self._is_paused

    def close(self) -> None:
        """Want no more of it; what has not come yet is cancelled."""
        if self._release is not None:
            release, self._release = self._release, None
            release(self)

    def feed(self, data: bytes) -> None:
        """Take in what has come; what is no HTTP is as good as none."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._is_lost = True
        if len(self._unread) > _MOST_UNREAD and not self._is_paused:
            self._is_paused = True
            self._source.pause_reading()
        self._tell()

    def lose(self) -> None:
        """Learn that nothing more comes."""
        self._is_lost = True
        self._tell()

    async def _news(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

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
        """Note that the answer is whole, and whether the connection outlives it."""
        self._is_whole = True
        self._keeps_alive = bool(self._parser.should_keep_alive())


def request_head(method: str, target: str, headers: Mapping[str, str], size: int) -> bytes:
    """Write a request's head.

    Args:
        target: The path, with its query.
        headers: Of the client's, what the engine is to see; printable Latin-1.
        size: Of the body, in bytes.
    """
    lines = [f"{method} {target} HTTP/1.1", "host: engine", f"content-length: {size}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")

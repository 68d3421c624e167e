"""uvicorn's protocol with the bounds it lacks: how much head, how slowly, and on how many connections.

    connected ─▶ head coming ─▶ request under way ─▶ answered ─▶ head coming …
        │            ├ too long: 414, 431          └ the next head may come meanwhile (pipelining)
        │            └ not whole in time: 408, or nothing where nothing was sent
        └ too many connections: the one that has idled longest makes way; 503 where all are at work

Whatever uvicorn or its parser would hold without end is refused in words, and the connection closed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from local_ai.serving.dialects import refused_bytes, refused_response
from local_ai.serving.refusal import Refusal

# Sizes as nginx and Node have them; browsers and SDKs stay far below.
MOST_URL_BYTES = 8 * 1024
MOST_HEAD_BYTES = 32 * 1024
MOST_HEADERS = 100
# From the first moment a head is waited for until it is whole.
HEAD_S = 10.0
# A client that takes nothing of what was written for so long is cut off, however it came to that.
STUCK_S = 60.0
_LOOKS_PER_STUCK = 4
_BUSY_RETRY_S = 2


class BoundedProtocol(HttpToolsProtocol):
    """One connection; `Config.limit_concurrency` is how many there may be."""

    head_s = HEAD_S
    stuck_s = STUCK_S

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn would answer connections beyond it with a bare 503, however idle the others are.
        self._most_connections, self.limit_concurrency = self.limit_concurrency, None
        self._head_timer: asyncio.TimerHandle | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None
        self._taken_at = 0.0  # loop.time() at which the client last took something
        self._has_made_way = False
        self._head_bytes = 0
        self._is_in_head = False
        self._refusal: Refusal | None = None
        self.idle_since = self.loop.time()

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way: none has come whole, or all are answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def can_make_way(self) -> bool:
        """Whether nobody misses it: it is idle, or only waits for its client to take the rest."""
        return not self._has_made_way and (self.is_idle or self.transport.is_closing())

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, at the cost of an idle one where there are too many."""
        super().connection_made(transport)
        self._await_head()
        if self._most_connections is not None and len(self.connections) > self._most_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop_timer()
        self._stop_stuck_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to take what was written, and not for ever."""
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        """Go on writing: the client has taken nearly all."""
        self._taken_at = self.loop.time()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, as long as it stays within bounds."""
        if self._refusal is not None or self.transport.is_closing():
            return
        super().data_received(data)
        if self.transport.is_closing():
            return
        # The parser keeps the half of a line to itself, so what it was fed is what counts.
        self._head_bytes = self._head_bytes + len(data) if self._is_in_head else 0
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(_url_too_long() if len(self.url) > MOST_URL_BYTES else _head_too_long())
        elif self.is_idle:
            self._await_head()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        """Hand the request to the application, or to one that refuses it."""
        self._is_in_head = False
        self._stop_timer()
        refusal = self._refusal_of_head()
        if refusal is None:
            super().on_headers_complete()
            return
        application = self.app
        self.app = refused_response(_path(self.url), refusal)
        try:
            super().on_headers_complete()
        finally:
            self.app = application

    # What uvicorn calls.

    def on_response_complete(self) -> None:
        """Wait for the next head, or refuse the one that came meanwhile."""
        super().on_response_complete()
        self._watch_taking()
        if not self.is_idle:
            return
        self.idle_since = self.loop.time()
        if self._refusal is not None:
            self._write_refusal(self._refusal)
        elif self._is_in_head:
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP: at once, unless a request before it waits for its answer."""
        if self.is_idle or not self.cycle.more_body:
            self._refuse(_not_http())
        elif self.cycle.response_started or self.pipeline:
            self.transport.close()
        else:
            self._write_refusal(_not_http())

    def _refusal_of_head(self) -> Refusal | None:
        if len(self.url) > MOST_URL_BYTES:
            return _url_too_long()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.headers) > MOST_HEADERS:
            return _too_many_headers(len(self.headers))
        return _head_too_long() if size > MOST_HEAD_BYTES else None

    def _refuse(self, refusal: Refusal) -> None:
        """Refuse what is no request yet; a request before it gets its answer first."""
        self._refusal = refusal
        self._stop_timer()
        if self.is_idle:
            self._write_refusal(refusal)

    def _write_refusal(self, refusal: Refusal) -> None:
        if not self.transport.is_closing():
            url = self.url if self._is_in_head else b""
            self.transport.write(refused_bytes(_path(url), refusal))
            self.transport.close()

    def _make_room(self) -> None:
        others = (other for other in self.connections if isinstance(other, BoundedProtocol))
        idle = [other for other in others if other is not self and other.can_make_way]
        if idle:
            oldest = min(idle, key=lambda other: other.idle_since)
            oldest._has_made_way = True
            oldest.transport.abort()
        else:
            self._refuse(_too_many_connections(len(self.connections) - 1))

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.is_idle:
            return
        if self._is_in_head:
            self._refuse(_head_too_slow(self.head_s))
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_taking(self) -> None:
        """Look from time to time whether the client takes what is left, until nothing is."""
        if self._stuck_timer is None and self.transport.get_write_buffer_size():
            self._taken_at = self.loop.time()
            self._look_again()

    def _look_again(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stuck_timer = self.loop.call_later(self.stuck_s / _LOOKS_PER_STUCK, self._look, left)

    def _look(self, before: int) -> None:
        self._stuck_timer = None
        left, now = self.transport.get_write_buffer_size(), self.loop.time()
        if left < before:
            self._taken_at = now
        if now - self._taken_at >= self.stuck_s:
            self.transport.abort()
        elif left:
            self._look_again()

    def _stop_stuck_timer(self) -> None:
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
            self._stuck_timer = None


def _path(url: bytes) -> str:
    return url.partition(b"?")[0].decode("latin-1")


def _not_http() -> Refusal:
    return Refusal(
        "the request was not understood",
        status=400,
        why="it is not HTTP/1.1 as RFC 9112 has it",
        fix="send plain HTTP (not HTTPS, not HTTP/2) with well-formed headers",
        code="invalid_http",
    )


def _url_too_long() -> Refusal:
    return Refusal(
        "the request's address is too long",
        status=414,
        why=f"it has more than {MOST_URL_BYTES // 1024} KB",
        fix="send long values in the body",
        code="uri_too_long",
    )


def _head_too_long() -> Refusal:
    return Refusal(
        "the request's headers are too large",
        status=431,
        why=f"together they have more than {MOST_HEAD_BYTES // 1024} KB",
        fix="send smaller headers; for a browser, clear the cookies of this address",
        code="headers_too_large",
    )


def _too_many_headers(count: int) -> Refusal:
    return Refusal(
        "the request has too many headers",
        status=431,
        why=f"it has {count}, and at most {MOST_HEADERS} are taken",
        fix="send fewer headers",
        code="headers_too_large",
    )


def _head_too_slow(seconds: float) -> Refusal:
    return Refusal(
        "the request came too slowly",
        status=408,
        why=f"its headers were not complete after {seconds:g} s",
        fix="send the request again, in one piece",
        code="request_timeout",
    )


def _too_many_connections(count: int) -> Refusal:
    return Refusal(
        "the gateway cannot take another connection",
        status=503,
        why=f"all its {count} connections have a request under way",
        fix="try again in a moment, or use fewer connections",
        code="too_many_connections",
        retry_after_s=_BUSY_RETRY_S,
    )

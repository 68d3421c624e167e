"""uvicorn's protocol with the bounds it lacks: how much head, how slowly, and on how many connections.

    connected ─▶ head coming ─▶ request under way ─▶ answered ─▶ head coming …
        │            ├ too long: 414, 431          └ the next head may come meanwhile (pipelining)
        │            └ not whole in time: 408, or nothing where nothing was sent
        └ too many connections: the one that has idled longest makes way; 503 where all are at work

Whatever uvicorn or its parser would hold without end is refused in words, and the connection closed.
Trailers, which may follow a chunked body, are dropped: they are no headers (RFC 9110, section 6.5.1).

A client that closes its side of the connection while it waits has left, or only sends no more (a half-closed
connection). A write tells: the kernel of a client that has left answers with a reset.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from local_ai.gateway import request_refusals as refusals
from local_ai.gateway.listener.turns import turns_of
from local_ai.serving.dialects import refused_bytes, refused_response
from local_ai.serving.errors import ApiError
from local_ai.serving.joined_writes import JoinedWrites
from local_ai.serving.request_id import RequestIds, given_request_id, make_request_id

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

# Sizes as nginx and Node have them; browsers and SDKs stay far below.
MOST_URL_BYTES = 8 * 1024
MOST_HEAD_BYTES = 32 * 1024
MOST_HEADERS = 100
# Parsed at once, unless it is all of one body: the requests in it are what one connection has taken ahead.
_PARSED_AT_ONCE = 1024
# From the first moment a head is waited for until it is whole. nginx and Node wait 60 s: the client of a
# machine that stands still for a moment is not a slow one, and idle connections make way anyhow.
HEAD_S = 30.0
# A client that takes nothing of what was written for so long is cut off, however it came to that.
STUCK_S = 60.0
_LOOKS_PER_STUCK = 4
# Given twice, one place could read the first and another the second.
_SINGLE_HEADERS = (b"host", b"origin", b"authorization", b"x-api-key", b"content-type", b"content-encoding")
# After a client's end of the connection, until its answer begins; the first leaves time for a quick answer.
_PROBES_S = (0.05, 0.1, 0.5, 2.0)
# Any number of these may come before an answer. Source: RFC 9110, section 15.2.
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class _UntilClosed(int):
    """The length of an answer to HTTP/1.0, which ends with the connection: uvicorn compares and subtracts."""

    def __lt__(self, _other: int) -> bool:
        return False

    def __ne__(self, _other: object) -> bool:
        return False

    def __sub__(self, _other: int) -> _UntilClosed:
        return self

    __hash__ = int.__hash__


class _Flow(FlowControl):
    """Reads no further while enough waits to be parsed."""

    is_full = False

    def resume_reading(self) -> None:
        """Read on, unless enough waits."""
        if not self.is_full:
            super().resume_reading()


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
        self._unused_bytes = 0  # that came since the last part of a body: chunk lines and trailers
        self._has_progressed = False
        self._body_left = 0  # bytes that its head announced and that have not come yet
        self._ahead = b""  # that came after requests that wait themselves: not parsed yet
        self._is_half_closed = False
        self._body_parts: list[bytes] = []  # that were parsed and not handed on yet
        self._is_resuming = False  # a new parser is given the head of the request that is under way
        self._is_between = False  # one answer is complete, and the request sent ahead is to start
        self._probe_timer: asyncio.TimerHandle | None = None
        self._refusal: ApiError | None = None
        self.idle_since = self.loop.time()

    @property
    def is_idle(self) -> bool:
        """True if no request is running: none is complete, or all are answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def can_make_way(self) -> bool:
        """True if it can be closed: it is idle, or only waits for its client to read the rest."""
        return not self._has_made_way and (self.is_idle or self.transport.is_closing())

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, at the cost of an idle one where there are too many."""
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]
        self.flow: _Flow = _Flow(self.transport)
        self._await_head()
        if self._most_connections is not None and len(self.connections) > self._most_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        for timer in (self._head_timer, self._probe_timer, self._stuck_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read what was written, within a limit."""
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        """Resume writing: the client has read nearly all."""
        self._taken_at = self.loop.time()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, up to requests that wait for the answer to the one before."""
        self._unset_keepalive_if_required()
        data, parsed = self._ahead + data, 0
        while parsed < len(data) and not self.pipeline:
            if self._refusal is not None or self.transport.is_closing():
                return
            size = max(self._body_left, _PARSED_AT_ONCE)
            self._parse(data[parsed : parsed + size])
            parsed += size
        self._ahead = data[parsed:]
        self.flow.is_full = len(self._ahead) > HIGH_WATER_LIMIT
        if self.flow.is_full:
            self.flow.pause_reading()

    def _parse(self, data: bytes) -> None:
        """Parse a part of what has come, as long as it stays within bounds."""
        self._has_progressed = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._go_on_after_upgrade(data[exc.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")
        self._hand_on_body()
        if self.transport.is_closing():
            return
        self._unused_bytes = 0 if self._has_progressed or self._is_in_head else self._unused_bytes + len(data)
        # The parser keeps the half of a line to itself, so what it was fed is what counts.
        self._head_bytes = self._head_bytes + len(data) if self._is_in_head else 0
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(
                refusals.url_too_long(MOST_URL_BYTES)
                if len(self.url) > MOST_URL_BYTES
                else refusals.head_too_long(MOST_HEAD_BYTES)
            )
        elif self._unused_bytes > MOST_HEAD_BYTES:
            self._refuse_body()
        elif self.is_idle:
            self._await_head()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that sends no more, where its answer has not begun."""
        if self._ahead:
            self._is_half_closed = True
            return True
        if self.is_idle or self.cycle.more_body or self.cycle.response_started:
            return False
        self.cycle.keep_alive = False
        # HTTP/1.0 knows no interim answers; where more requests wait, another answer may be under way.
        if self.scope["http_version"] != "1.0" and not self.pipeline:
            self._probe_later(list(_PROBES_S))
        return True

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        if not self._is_resuming:
            super().on_message_begin()
            self._is_in_head = self._has_progressed = True

    def on_url(self, url: bytes) -> None:
        """Keep the address, or a part of it."""
        if not self._is_resuming:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop a trailer."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_message_complete(self) -> None:
        """Note that a request is whole; one that asks for another protocol may still have a body."""
        self._hand_on_body()
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; one read may bring 40,000 of one byte."""
        self._has_progressed = True
        self._body_left = max(0, self._body_left - len(body))
        self._body_parts.append(body)

    def _hand_on_body(self) -> None:
        """Hand on, as one, what has been parsed of a body."""
        if self._body_parts:
            body, self._body_parts = b"".join(self._body_parts), []
            super().on_body(body)

    def on_headers_complete(self) -> None:
        """Hand the request to the application, or to one that refuses it."""
        if self._is_resuming:
            self._is_resuming = False
            return
        self._is_in_head = False
        self._stop_timer()
        if self._refusal is not None:
            return
        self._body_left = next((int(value) for name, value in self.headers if name == b"content-length"), 0)
        refusal = self._refusal_of_head()
        application = self.app
        if refusal is not None:
            self.app = RequestIds(refused_response(_path(self.url), refusal))
        try:
            super().on_headers_complete()
        finally:
            self.app = application
        if self.scope.get("http_version") == "1.0":
            self.cycle.chunked_encoding, self.cycle.expected_content_length = False, _UntilClosed()

    # What uvicorn calls.

    def on_response_complete(self) -> None:
        """Wait for the next head, or refuse the one that came meanwhile."""
        self._is_between = True
        super().on_response_complete()
        if self._ahead and not self.pipeline:
            self._take_ahead()
        self._is_between = False
        self._watch_taking()
        if not self.is_idle:
            return
        self.idle_since = self.loop.time()
        if self._refusal is not None:
            self._write_refusal(self._refusal)
        elif self._is_in_head:
            self._await_head()

    def _take_ahead(self) -> None:
        self.data_received(b"")
        self.flow.resume_reading()
        if self._is_half_closed and not self._ahead and not self.eof_received():
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Start a request: at once, or in its turn where it was sent ahead."""
        if self._is_between:
            turns_of(self.loop).add(partial(self._start_in_turn, cycle, app))
        else:
            super()._start_asgi_task(cycle, app)

    def _start_in_turn(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if not self.transport.is_closing():
            super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP: at once, unless a request before it waits for its answer."""
        if self.is_idle or not self.cycle.more_body:
            self._refuse(refusals.not_http())
        elif self.cycle.response_started or self.pipeline:
            self.transport.close()
        else:
            self._write_refusal(refusals.not_http())

    def _go_on_after_upgrade(self, rest: bytes) -> None:
        """Take the body of a request that asked for another protocol, which it does not get.

        httptools stops there and leaves the body out. Java's client asks for HTTP/2 so, in any request.
        """
        self.parser = httptools.HttpRequestParser(self)
        self._is_resuming = True
        lengths = [pair for pair in self.headers if pair[0] in {b"content-length", b"transfer-encoding"}]
        lines = [b"POST / HTTP/1.1", *(b"%b: %b" % pair for pair in lengths), b"", b""]
        self._parse(b"\r\n".join(lines) + rest)

    def _refusal_of_head(self) -> ApiError | None:
        if len(self.url) > MOST_URL_BYTES:
            return refusals.url_too_long(MOST_URL_BYTES)
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.headers) > MOST_HEADERS:
            return refusals.too_many_headers(len(self.headers), MOST_HEADERS)
        if size > MOST_HEAD_BYTES:
            return refusals.head_too_long(MOST_HEAD_BYTES)
        names = [name for name, _ in self.headers]
        if twice := next((name for name in _SINGLE_HEADERS if names.count(name) > 1), None):
            return refusals.header_twice(twice.decode())
        encoding = next((value for name, value in self.headers if _encodes(name, value)), None)
        return None if encoding is None else refusals.encoded(encoding.decode("latin-1"))

    def _refuse_body(self) -> None:
        """Refuse what comes between the parts of a body, or after it, without end."""
        self._refusal = refusals.trailers_too_long(MOST_HEAD_BYTES)
        if self.is_idle or self.cycle.response_started or self.pipeline:
            self.transport.close()
        else:
            self._write_refusal(self._refusal)

    def _probe_later(self, pauses_s: list[float]) -> None:
        if pauses_s:
            self._probe_timer = self.loop.call_later(pauses_s[0], self._probe, pauses_s[1:])

    def _probe(self, pauses_s: list[float]) -> None:
        """Write something that is no answer yet, so that a client that has left is noticed."""
        if not (self.transport.is_closing() or self.is_idle or self.cycle.response_started):
            self.transport.write(_INTERIM)
            self._probe_later(pauses_s)

    def _refuse(self, refusal: ApiError) -> None:
        """Refuse what is no request yet; a request before it gets its answer first."""
        self._refusal = refusal
        self._stop_timer()
        if self.is_idle:
            self._write_refusal(refusal)

    def _write_refusal(self, refusal: ApiError) -> None:
        if not self.transport.is_closing():
            url, headers = (self.url, self.headers) if self._is_in_head else (b"", [])
            request_id = given_request_id(headers) or make_request_id()
            self.transport.write(refused_bytes(_path(url), refusal, request_id=request_id))
            self.transport.close()

    def _make_room(self) -> None:
        others = (other for other in self.connections if isinstance(other, BoundedProtocol))
        idle = [other for other in others if other is not self and other.can_make_way]
        if idle:
            oldest = min(idle, key=lambda other: other.idle_since)
            oldest._has_made_way = True
            oldest.transport.abort()
        else:
            self._refuse(refusals.too_many_connections(len(self.connections) - 1))

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.is_idle:
            return
        if self._is_in_head:
            self._refuse(refusals.too_slow(f"its headers were not complete after {self.head_s:g} s"))
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_taking(self) -> None:
        """Check from time to time that the client still reads, until it has read all."""
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


def _path(url: bytes) -> str:
    return url.partition(b"?")[0].decode("latin-1")


def _encodes(name: bytes, value: bytes) -> bool:
    """Tell whether a header says that the body is not sent as it is; an empty list says nothing."""
    if name == b"content-encoding":
        return any(coding.strip().lower() not in {b"", b"identity"} for coding in value.split(b","))
    return name == b"transfer-encoding" and value.lower() != b"chunked"

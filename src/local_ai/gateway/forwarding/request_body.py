"""Take in a request's body: its media type, its size, its JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from starlette.requests import ClientDisconnect

from local_ai.gateway.forwarding.routes import Route
from local_ai.serving.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive

STALL_S = 30.0
# Slower than any network that somebody would send a body over.
_LEAST_BYTES_PER_S = 1000
_DROP_S = 2.0
_TOO_SLOW = 408
# Deeper than any schema of a tool; Python's own limit is near a thousand.
MOST_DEPTH = 100


def check_media_type(content_type: str, route: Route) -> None:
    """Accept only the route's own media type.

    Pages of other sites can send forms and plain text without asking; JSON they cannot.

    Raises:
        Refusal: 415, naming what was sent and what is taken.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != route.takes:
        raise Refusal(
            "the request's body was not read",
            status=415,
            why=f"its Content-Type is {media_type or 'missing'}, but {route.path} takes {route.takes}",
            fix=f"send the header Content-Type: {route.takes}",
            code="unsupported_media_type",
        )


async def read_body(
    request: Request, *, most_bytes: int, hold: Callable[[int], None], stall_s: float = STALL_S
) -> bytes:
    """Read the whole body.

    Args:
        hold: Told how large it has become, each time more has come; may refuse it.
        stall_s: Longest time in which nothing of it comes; more by and by is no way around.

    Raises:
        Refusal: 413, as soon as it is known to be longer than `most_bytes`; 408, where it comes too slowly.
    """
    parts = _Parts(request.receive)
    try:
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > most_bytes:
            raise _too_large(most_bytes)
        return await _collect(parts, most_bytes=most_bytes, hold=hold, stall_s=stall_s)
    except Refusal as refusal:
        # Closed with something unread, the client would get a reset instead of the refusal.
        closes = "close" in request.headers.get("connection", "").lower()
        if closes and not parts.is_whole and refusal.status != _TOO_SLOW:
            await _drop(parts)
        raise


async def _collect(parts: _Parts, *, most_bytes: int, hold: Callable[[int], None], stall_s: float) -> bytes:
    body = bytearray()
    began = time.monotonic()
    while True:
        patience_s = began + stall_s + len(body) / _LEAST_BYTES_PER_S - time.monotonic()
        try:
            async with asyncio.timeout(min(stall_s, patience_s)):
                part = await parts.next()
        except TimeoutError:
            raise _too_slow(len(body), stall_s) from None
        body += part
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
        hold(len(body))
        if parts.is_whole:
            return bytes(body)


async def _drop(parts: _Parts) -> None:
    """Read and forget what still comes, for a moment."""
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_DROP_S):
            while not parts.is_whole:
                await parts.next()


class _Parts:
    """A body as it comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_whole = False

    async def next(self) -> bytes:
        """Wait for a part.

        Raises:
            ClientDisconnect: The client left.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.is_whole = not message.get("more_body", False)
        return bytes(message.get("body", b""))


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        Refusal: 400, with the place where it stops being one.
    """
    try:
        # As json.loads does, which would make a decoder each time.
        value = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except json.JSONDecodeError as exc:
        raise _not_json(f"{exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
    except UnicodeDecodeError as exc:
        raise _not_json(f"it is not UTF-8 (byte {exc.start})") from exc
    except RecursionError as exc:
        raise _not_json(_TOO_DEEP) from exc
    except ValueError as exc:
        raise _not_json(str(exc)) from exc
    if not isinstance(value, dict):
        raise _not_json(f"it is {_KINDS[type(value)]}, not an object")
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH and _is_deeper(value, MOST_DEPTH):
        raise _not_json(_TOO_DEEP)
    return value


_TOO_DEEP = f"it is nested too deeply (more than {MOST_DEPTH} levels)"
_KINDS = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _is_deeper(value: object, most: int) -> bool:
    level: list[object] = [value]
    for _ in range(most):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(outer, dict | list) for outer in level)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _not_json(why: str) -> Refusal:
    return Refusal(
        "the request's body is not a JSON object",
        status=400,
        why=why,
        fix='send an object, such as {"messages": [{"role": "user", "content": "Hello"}]}',
        code="invalid_json",
    )


def _too_large(most_bytes: int) -> Refusal:
    return Refusal(
        "the request is too large",
        status=413,
        why=f"its body has more than {most_bytes // 1024 // 1024} MB (gateway.max_body_mb)",
        fix="send less, or raise gateway.max_body_mb in config.toml",
        code="request_too_large",
    )


def _too_slow(size: int, stall_s: float) -> Refusal:
    return Refusal(
        "the request came too slowly",
        status=_TOO_SLOW,
        why=f"after {size} bytes of its body next to nothing came for {stall_s:g} s",
        fix="send the request again, in one piece",
        code="request_timeout",
    )

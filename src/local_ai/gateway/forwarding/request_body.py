"""Take in a request's body: its media type, its size, and what of its JSON the gateway must know."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from pydantic_core import SchemaValidator, core_schema
from starlette.requests import ClientDisconnect, Request

from local_ai.gateway.forwarding.routes import Route
from local_ai.gateway.request_refusals import TOO_SLOW, body_not_read, too_slow
from local_ai.serving.dialects import Dialect
from local_ai.serving.errors import ApiError
from local_ai.serving.json_body import parse_json

STALL_S = 30.0  # longest time in which nothing of a body comes; more by and by is no way around
# Slower than any network in use.
_LEAST_BYTES_PER_S = 1000
_DROP_S = 2.0
# A form of a page cannot write JSON in the second: it escapes the braces.
_OF_OLLAMAS_CLIENTS = frozenset({"", "application/x-www-form-urlencoded"})
_OF_BROWSERS = frozenset({"origin", "sec-fetch-site"})


def check_media_type(headers: Mapping[str, str], route: Route) -> None:
    """Accept only the route's own media type.

    Pages of other sites can send forms and plain text without asking; JSON they cannot. Ollama looks at no
    media type, and some of its clients send none, or curl's: from what is no browser, which names its site
    with every POST, these are taken too.

    Raises:
        ApiError: 415, naming what was sent and what is taken.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_browser = not _OF_BROWSERS.isdisjoint(headers.keys())
    if route.dialect is Dialect.OLLAMA and not is_browser and media_type in _OF_OLLAMAS_CLIENTS:
        return
    if media_type != route.takes:
        raise body_not_read(
            f"its Content-Type is {media_type or 'missing'}, but {route.path} takes {route.takes}",
            f"send the header Content-Type: {route.takes}",
            code="unsupported_media_type",
        )


async def read_body(request: Request, *, most_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Read the whole body.

    Args:
        hold: Told how large it has become, each time more has come; may refuse it.

    Raises:
        ApiError: 413, as soon as it is known to be longer than `most_bytes`; 408, where it comes too slowly.
    """
    parts = request.stream()
    try:
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > most_bytes:
            raise _too_large(most_bytes)
        return await _collect(parts, most_bytes=most_bytes, hold=hold)
    except ApiError as refusal:
        # Closed with something unread, the client would get a reset instead of the refusal.
        closes = "close" in request.headers.get("connection", "").lower()
        if closes and refusal.status != TOO_SLOW:
            await _drop(parts)
        raise


async def _collect(parts: AsyncGenerator[bytes], *, most_bytes: int, hold: Callable[[int], None]) -> bytes:
    body = bytearray()
    began = time.monotonic()
    while True:
        patience_s = began + STALL_S + len(body) / _LEAST_BYTES_PER_S - time.monotonic()
        try:
            async with asyncio.timeout(min(STALL_S, patience_s)):
                part = await anext(parts, None)
        except TimeoutError:
            why = f"after {len(body)} bytes of its body almost nothing came for {STALL_S:g} s"
            raise too_slow(why) from None
        if part is None:
            return bytes(body)
        body += part
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
        hold(len(body))


async def _drop(parts: AsyncGenerator[bytes]) -> None:
    """Read and forget what still comes, for a moment."""
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_DROP_S):
            async for _ in parts:
                pass


@dataclass(frozen=True)
class Peek:
    """The part of a JSON body that the gateway reads; the rest is the engine's to judge."""

    model: str | None  # None where it names none
    streams: bool | None  # whether the client asked for a stream; None where it does not say


def peek(body: bytes) -> Peek:
    """Look at a JSON object's `model` and `stream`; its other fields are parsed, and not kept.

    Raises:
        ApiError: 400, it is no JSON object.
    """
    found = parse_json(body, _PEEK.validate_json)
    return Peek(found.get("model") or None, found.get("stream"))


def _field(kind: core_schema.CoreSchema) -> core_schema.TypedDictField:
    """Describe a field whose value counts as absent where it is of another type."""
    lenient = core_schema.with_default_schema(kind, default=None, on_error="default")
    return core_schema.typed_dict_field(lenient, required=False)


_PEEK = SchemaValidator(
    core_schema.typed_dict_schema(
        {
            "model": _field(core_schema.str_schema(strict=True)),
            "stream": _field(core_schema.bool_schema(strict=True)),
        },
        extra_behavior="ignore",
    )
)


def _too_large(most_bytes: int) -> ApiError:
    return ApiError(
        "the request is too large",
        status=413,
        why=f"its body has more than {most_bytes // 1024 // 1024} MB (gateway.max_body_mb)",
        fix="send less, or raise gateway.max_body_mb in config.toml",
        code="request_too_large",
    )

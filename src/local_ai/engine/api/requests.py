"""Bodies in, answers and event streams out; what every endpoint needs of HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from local_ai.engine.errors import EngineError

FILLED_HEADER = "x-local-ai-filled"  # body fields that the gateway filled in from the settings
_MOST_PATH = 200  # characters of a refused request's path in the log
QUIET_S = 3.0  # a stream that has nothing to say says so this often

T = TypeVar("T")


log = logging.getLogger("local_ai.engine.requests")


class ClientGoneError(Exception):
    """The client closed the connection; nobody hears the answer."""


async def read_body(request: Request) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        EngineError: 400, what came is not one.
    """
    raw = await request.body()  # bounded by the gateway
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        reason = str(exc)[:200] if isinstance(exc, ValueError) else "it is nested too deeply"
        raise EngineError(
            "the body cannot be read", why=f"it is not valid JSON: {reason}", fix="send a JSON object"
        ) from exc
    if not isinstance(body, dict):
        raise EngineError("the body cannot be read", why="it is not a JSON object", fix="send a JSON object")
    return _mend(body) if b"\\u" in raw else body


def filled_fields(request: Request) -> frozenset[str]:
    """Names of the body's fields that came from the settings, not from the client."""
    return frozenset(name.strip() for name in request.headers.get(FILLED_HEADER, "").split(",")) - {""}


def note_refusal(request: Request, error: EngineError) -> None:
    """Write a refused request's line in the log; never what was said."""
    log.info(
        "path=%s refused=%d code=%s param=%s",
        # Quoted: an id in the path is the client's own text, and could else write lines of its own.
        quote(request.url.path)[:_MOST_PATH],
        error.status,
        error.code or "-",
        # A field nobody knows is the client's own text.
        "-" if error.code == "unknown_parameter" else error.param or "-",
    )


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer JSON; half a character, which JSON could carry but UTF-8 cannot, becomes a question mark."""
    return Response(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def event(data: Any, name: str | None = None) -> bytes:
    """Write one server-sent event.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode("utf-8", "replace")


def event_stream(chunks: AsyncIterator[bytes]) -> StreamingResponse:
    """Answer server-sent events, as they come."""
    return StreamingResponse(
        chunks,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for work whose result is answered in one go; cancel it when the client leaves.

    Raises:
        ClientGoneError: It left.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def with_ticks(items: AsyncIterator[T], every_s: float = QUIET_S) -> AsyncIterator[T | None]:
    """Give out items as they come, and None whenever none came for a while."""
    iterator = aiter(items)
    upcoming: asyncio.Future[T] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(_next(iterator))
            done, _ = await asyncio.wait({upcoming}, timeout=every_s)
            if not done:
                yield None
                continue
            finished, upcoming = upcoming, None
            try:
                item = finished.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
        await close(items)


async def close(items: AsyncIterator[Any]) -> None:
    """Close an async generator now, not when it is collected: that ends its generation."""
    aclose: Callable[[], Awaitable[None]] | None = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()


async def _next(iterator: AsyncIterator[T]) -> T:
    return await anext(iterator)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _mend(value: Any) -> Any:
    """Join the halves of surrogate pairs; half a character alone becomes the replacement character."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    return value

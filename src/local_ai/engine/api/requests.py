"""Answers and the log's line of a refusal; what every endpoint needs of HTTP."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from local_ai.serving.errors import ApiError
from local_ai.serving.sse import to_json, until_gone

# Read in a thread from here on: the event loop has its turns meanwhile.
_LARGE_BYTES = 256 * 1024
_MOST_PATH = 200  # characters of a refused request's path in the log

T = TypeVar("T")


log = logging.getLogger("local_ai.engine.requests")


class ClientGoneError(Exception):
    """The client closed the connection; no one reads the answer."""


def note_refusal(request: Request, error: ApiError) -> None:
    """Write a refused request's line in the log; never what was said."""
    log.info(
        "path=%s refused=%d code=%s param=%s",
        # Quoted: an id in the path is the client's own text, and could else write lines of its own.
        quote(request.url.path)[:_MOST_PATH],
        error.status,
        error.code or "-",
        # An unknown field is the client's own text.
        "-" if error.code == "unknown_parameter" else error.param or "-",
    )


def json_response(content: Any) -> Response:
    """Answer JSON."""
    return Response(to_json(content), media_type="application/json")


async def read_body(request: Request, read: Callable[[bytes], T]) -> T:
    """Return what `read` makes of a request's body; it may run in a thread."""
    raw = await request.body()
    return read(raw) if len(raw) < _LARGE_BYTES else await asyncio.to_thread(read, raw)


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for work whose result is answered in one go; cancel it when the client leaves.

    Raises:
        ClientGoneError: It left.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(until_gone(request.receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)

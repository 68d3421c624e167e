"""Server-sent events on their way through: whole ones only, and a comment while none comes.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (events end with an empty line; a
line that begins with a colon is a comment, which every client skips).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

COMMENT = b": waiting\n\n"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


async def whole_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what has come up to the last event's end; a cut stream then never ends within JSON."""
    rest = b""
    async for chunk in chunks:
        events, boundary, rest = (rest + chunk).rpartition(b"\n\n")
        if boundary:
            yield events + boundary
    if rest:
        yield rest


async def with_comments(events: AsyncIterator[bytes], *, every_s: float) -> AsyncIterator[bytes]:
    """Yield the events, and a comment each time the next one has not come for `every_s` seconds."""
    following = asyncio.create_task(_next(events))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=every_s)
            if not done:
                yield COMMENT
            elif (event := following.result()) is not None:
                yield event
                following = asyncio.create_task(_next(events))
            else:
                return
    finally:
        following.cancel()


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    return await anext(events, None)

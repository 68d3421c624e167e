"""Server-sent events on their way through: whole ones only.

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
# Both say only that the answer takes time.
_SAYS_NOTHING = (b":", b"event: ping\n")


class WholeEvents:
    """Holds an event back until its end has come; a cut stream then never ends within JSON."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return the events that are whole now, "" if none is."""
        if chunk.endswith(b"\n\n") and not self._rest:
            return chunk
        whole, boundary, self._rest = (self._rest + chunk).rpartition(b"\n\n")
        return whole + boundary

    def rest(self) -> bytes:
        """Return what came after the last event's end."""
        return self._rest


def say_something(events: bytes) -> bool:
    """Tell whether some of these events are more than comments and pings."""
    return any(event and not event.startswith(_SAYS_NOTHING) for event in events.split(b"\n\n"))


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

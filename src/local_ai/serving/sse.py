"""Server-sent events: written, on their way through, and with a sign of life while there are none.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (events end with an empty line; a
line that begins with a colon is a comment, which every client skips).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from starlette.types import Receive

COMMENT = b": waiting\n\n"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
# Both say only that the answer takes time.
_SAYS_NOTHING = (b":", b"event: ping\n")

# Of 64 KB each at the most: a client that takes nothing is held back by then.
_MOST_JOINED = 64

T = TypeVar("T")


class WholeEvents:
    """Holds an event back until its end has come; a cut stream then never ends within JSON."""

    def __init__(self, boundary: bytes = b"\n\n") -> None:
        """Hold nothing yet.

        Args:
            boundary: What ends each event, or each line of a stream of lines.
        """
        self._boundary = boundary
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return the events that are whole now, "" if none is."""
        if chunk.endswith(self._boundary) and not self._rest:
            return chunk
        whole, boundary, self._rest = (self._rest + chunk).rpartition(self._boundary)
        return whole + boundary

    def rest(self) -> bytes:
        """Return what came after the last event's end."""
        return self._rest


def say_something(events: bytes) -> bool:
    """Tell whether some of these events are more than comments and pings."""
    return any(event and not event.startswith(_SAYS_NOTHING) for event in events.split(b"\n\n"))


def to_json(content: Any) -> bytes:
    """Write JSON; half a character, which JSON could carry but UTF-8 cannot, becomes a question mark."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def event(data: Any, name: str | None = None) -> bytes:
    """Write one event: a text as it is, anything else as JSON."""
    text = data.encode("utf-8", "replace") if isinstance(data, str) else to_json(data)
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + text + b"\n\n"


async def with_ticks(items: AsyncIterator[T], *, every_s: float) -> AsyncIterator[T | None]:
    """Give out items as they come, and None each time the next one has not come for `every_s` seconds.

    Closing the iterator closes the items.
    """
    following = asyncio.ensure_future(_next(items))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=every_s)
            if not done:
                yield None
                continue
            try:
                item = following.result()
            except StopAsyncIteration:
                return
            yield item
            following = asyncio.ensure_future(_next(items))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await close(items)


async def joined(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Give out together the chunks that are there already; the first is not held back for the next.

    A write costs the gateway more than an event does, and many come at once where clients are slower than
    the engine. Closing the iterator closes the chunks.
    """
    held: list[bytes] = []
    news, room = asyncio.Event(), asyncio.Event()
    filling = asyncio.create_task(_fill(chunks, held, news, room))
    try:
        while held or not filling.done():
            await news.wait()
            news.clear()
            if held:
                together = b"".join(held)
                held.clear()
                room.set()
                yield together
        await filling
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        await close(chunks)


async def _fill(
    chunks: AsyncIterator[bytes], held: list[bytes], news: asyncio.Event, room: asyncio.Event
) -> None:
    """Hold the chunks as they come, until there are too many to hold or no more come."""
    try:
        async for chunk in chunks:
            held.append(chunk)
            news.set()
            if len(held) == _MOST_JOINED:
                room.clear()
                await room.wait()
    finally:
        news.set()


async def close(items: AsyncIterator[Any]) -> None:
    """Close an async generator now, not when it is collected: that ends what it does."""
    aclose: Callable[[], Awaitable[None]] | None = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()


async def until_gone(receive: Receive) -> None:
    """Return once the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)

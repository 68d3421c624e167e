"""Server-sent events: written, on their way through, and with a sign of life while there are none.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (events end with an empty line; a
line that begins with a colon is a comment, which every client skips).
"""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from json.encoder import encode_basestring
from typing import Any, TypeVar

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
_MOST_HELD = 64

# Stands in an event's template for what differs; no client can know it, and so none can send it.
HOLE = uuid.uuid4().hex
_HOLE_IN_JSON = f'"{HOLE}"'.encode()

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

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
    return _JSON.encode(content).encode("utf-8", "replace")


def event(data: Any, name: str | None = None) -> bytes:
    """Write one event: a text as it is, anything else as JSON."""
    text = data.encode("utf-8", "replace") if isinstance(data, str) else to_json(data)
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + text + b"\n\n"


class EventTemplate:
    """An event of which little differs from one to the next: the rest is written once."""

    def __init__(self, example: Any, name: str | None = None) -> None:
        """Write what stays.

        Args:
            example: The event, with `HOLE` in place of each value that differs.
        """
        self._head, *self._after = event(example, name).split(_HOLE_IN_JSON)

    def write(self, *values: str | int) -> bytes:
        """Write the event with these values, in the order of their holes."""
        written = self._head
        for value, after in zip(values, self._after, strict=True):
            text = encode_basestring(value) if isinstance(value, str) else str(value)
            written += text.encode("utf-8", "replace") + after
        return written


async def batches(items: AsyncIterator[T], *, every_s: float | None = None) -> AsyncGenerator[list[T]]:
    """Give out together the items that are there already; the first is not held back for the next.

    A write costs more than an item does, and many come at once where a client is slower than the engine.
    Closing the iterator closes the items.

    Args:
        every_s: Give out an empty list each time the next item has not come for so many seconds; None: never.
    """
    held: list[T] = []
    news, room = asyncio.Event(), asyncio.Event()
    filling = asyncio.create_task(_fill(items, held, news, room))
    ticks = _Ticks(news, every_s) if every_s is not None else None
    try:
        while held or not filling.done():
            if not held:
                news.clear()
                if ticks:
                    ticks.waits()
                await news.wait()
            if held or not filling.done():
                together, held[:] = held[:], ()
                room.set()
                if ticks:
                    ticks.goes_on()
                yield together
        await filling
    finally:
        if ticks:
            ticks.stop()
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        await close(items)


async def _fill(items: AsyncIterator[T], held: list[T], news: asyncio.Event, room: asyncio.Event) -> None:
    """Hold the items as they come, until there are too many to hold or no more come."""
    try:
        async for item in items:
            held.append(item)
            news.set()
            if len(held) >= _MOST_HELD:
                room.clear()
                await room.wait()
    finally:
        news.set()


class _Ticks:
    """Sets an event each time it was waited for so many seconds.

    One timer, moved on only when it rings: one for each wait would cost more than the wait's item.
    """

    def __init__(self, news: asyncio.Event, every_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = news
        self._every_s = every_s
        self._since: float | None = None  # when the present wait began
        self._timer = self._loop.call_later(every_s, self._ring)

    def waits(self) -> None:
        """Begin to wait."""
        self._since = self._loop.time()

    def goes_on(self) -> None:
        """Wait no more."""
        self._since = None

    def stop(self) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        left = self._every_s
        if self._since is not None:
            left += self._since - self._loop.time()
            if left <= 0:
                self._news.set()
                self._since, left = None, self._every_s
        self._timer = self._loop.call_later(left, self._ring)


async def close(items: AsyncIterator[Any]) -> None:
    """Close an async generator now, not when it is collected: that ends what it does."""
    aclose: Callable[[], Awaitable[None]] | None = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()


async def until_gone(receive: Receive) -> None:
    """Return once the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass

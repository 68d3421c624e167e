"""Turns of the event loop for requests that were sent ahead of their turn (pipelined).

Started all at once, the requests of 200 connections that each sent 100 ahead fill one turn of the loop with
200 of them, and a client that asks for one thing waits for several such turns.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary


class Turns:
    """Starts one of the waiting in each turn of the loop, in order of arrival."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, start: Callable[[], None]) -> None:
        """Start it in a later turn: the next one if no other waits."""
        self._waiting.append(start)
        if len(self._waiting) == 1:
            self._call_later()

    def _start_next(self) -> None:
        try:
            self._waiting[0]()
        finally:
            self._waiting.popleft()
            if self._waiting:
                self._call_later()

    def _call_later(self) -> None:
        asyncio.get_running_loop().call_soon(self._start_next)


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """Return the turns that all connections of a loop share."""
    return _TURNS.setdefault(loop, Turns())

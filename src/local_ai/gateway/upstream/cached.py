"""A value that is looked up at most so often, and once for everybody who asks at the same time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """The latest result of a slow look-up."""

    def __init__(self, look_up: Callable[[], Awaitable[T]], *, max_age_s: float) -> None:
        self._look_up = look_up
        self._max_age_s = max_age_s
        self._task: asyncio.Task[T] | None = None
        self._done_at = 0.0

    async def get(self) -> T:
        """Return a result at most `max_age_s` old, joining a look-up that is under way."""
        if self._task is None or (self._task.done() and time.monotonic() - self._done_at > self._max_age_s):
            self._task = asyncio.create_task(self._run())
        # Shielded: one client that leaves must not end the look-up for the others.
        return await asyncio.shield(self._task)

    def forget(self) -> None:
        """Make the next caller look again."""
        self._done_at = 0.0

    async def _run(self) -> T:
        try:
            return await self._look_up()
        finally:
            self._done_at = time.monotonic()

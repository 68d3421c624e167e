"""The queue in front of the engine: so many requests at once, so many waiting in order, the rest refused.

arrived ─▶ waiting ─▶ let in: held (the engine cannot take it yet) ─▶ running ─▶ left
   │          └ the client leaves, or the server closes: taken out
   └ gateway.max_queue are waiting already: 429
"""

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from local_ai.serving.errors import ApiError
from local_ai.status.health import QueuedRequest, RequestState

_SHOWN = 50
_LONGEST_RETRY_S = 60
# How much the newest request counts in the mean time a request takes.
_SMOOTHING = 0.2


@dataclass(eq=False)
class QueuedCall:
    """One request, from its arrival to its end; nothing of what it says."""

    id: str
    path: str
    model: str | None
    streams: bool
    arrived: float  # time.monotonic()
    state: RequestState = RequestState.WAITING
    peer: str | None = None  # the one that it is for; None: the engine
    waiter: asyncio.Future[None] | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """Seconds since it arrived."""
        return time.monotonic() - self.arrived


class RequestQueue:
    """Lets requests in, in the order of their arrival."""

    def __init__(self, *, most_running: int, most_waiting: int) -> None:
        self.most_running = most_running
        self.most_waiting = most_waiting
        self._free = most_running
        self._waiting: deque[QueuedCall] = deque()
        self._visits: dict[str, QueuedCall] = {}
        self._numbers = itertools.count(1)
        self._mean_s = 0.0
        self._closed: Callable[[], ApiError] | None = None

    def resize(self, most_running: int) -> None:
        """Let so many run at once from now on; where more run already, none is let in until fewer do."""
        self._free += most_running - self.most_running
        self.most_running = most_running
        self._admit()

    @contextmanager
    def queued(self, path: str, model: str | None, *, streams: bool) -> Iterator[QueuedCall]:
        """Keep a request on the list from its arrival to its end."""
        queued = QueuedCall(str(next(self._numbers)), path, model, streams, time.monotonic())
        self._visits[queued.id] = queued
        try:
            yield queued
        finally:
            del self._visits[queued.id]

    @asynccontextmanager
    async def admit(self, queued: QueuedCall) -> AsyncIterator[None]:
        """Wait for a place, keep it inside the block, and give it to the next in the queue.

        Raises:
            ApiError: 429, too many are waiting already; 503, the server closed meanwhile.
        """
        await self._enter(queued)
        began = time.monotonic()
        queued.state = RequestState.HELD
        try:
            yield
        finally:
            took = time.monotonic() - began
            self._mean_s = took if not self._mean_s else self._mean_s + _SMOOTHING * (took - self._mean_s)
            self._free += 1
            self._admit()

    def close(self, refusal: Callable[[], ApiError] | None) -> None:
        """Refuse what waits and what arrives from now on, in these words; None opens again."""
        self._closed = refusal
        while refusal is not None and self._waiting:
            waiter = self._waiting.popleft().waiter
            if waiter is not None and not waiter.done():
                waiter.set_exception(refusal())

    def position(self, queued: QueuedCall) -> int | None:
        """Return its position in the queue, from 1; None if it does not wait."""
        return next((place for place, other in enumerate(self._waiting, 1) if other is queued), None)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        """The number of requests that the engine has now."""
        return sum(
            queued.state is RequestState.RUNNING and queued.peer is None for queued in self._visits.values()
        )

    @property
    def load(self) -> int:
        """The number of requests that have a place here or wait for one."""
        return self.most_running - self._free + len(self._waiting)

    def longest_wait_s(self) -> float:
        """Seconds that the first in the queue has waited."""
        return self._waiting[0].seconds if self._waiting else 0.0

    def requests(self) -> tuple[QueuedRequest, ...]:
        """List the requests that are here, the oldest first; at most fifty."""
        places = {queued.id: place for place, queued in enumerate(self._waiting, 1)}
        return tuple(
            QueuedRequest(
                id=queued.id,
                path=queued.path,
                model=queued.model,
                state=queued.state,
                position=places.get(queued.id),
                seconds=round(queued.seconds, 1),
                streams=queued.streams,
                peer=queued.peer,
            )
            for queued in itertools.islice(self._visits.values(), _SHOWN)
        )

    async def _enter(self, queued: QueuedCall) -> None:
        if self._closed is not None:
            raise self._closed()
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        if len(self._waiting) >= self.most_waiting:
            raise self._full()
        waiter = queued.waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(queued)
        try:
            await waiter
        except asyncio.CancelledError:
            self._give_up(queued, waiter)
            raise

    def _give_up(self, queued: QueuedCall, waiter: asyncio.Future[None]) -> None:
        if queued in self._waiting:
            self._waiting.remove(queued)
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            # It had just been let in.
            self._free += 1
            self._admit()

    def _admit(self) -> None:
        while self._free > 0 and self._waiting:
            waiter = self._waiting.popleft().waiter
            if waiter is not None and not waiter.done():
                self._free -= 1
                waiter.set_result(None)

    def _full(self) -> ApiError:
        wait_s = self._mean_s * (len(self._waiting) + 1) / self.most_running
        return ApiError(
            "the queue is full",
            status=429,
            why=f"{len(self._waiting)} requests are waiting already (gateway.max_queue)",
            fix="try again in a moment, send fewer at once, or raise gateway.max_queue in config.toml",
            code="queue_full",
            retry_after_s=min(_LONGEST_RETRY_S, max(1, math.ceil(wait_s))),
        )

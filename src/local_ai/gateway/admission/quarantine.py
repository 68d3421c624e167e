"""Requests on which the engine ended: sent once more, one at a time, so that the one that ends it is found.

    sent ─engine ends─▶ suspect ─its turn─▶ sent alone ─answers─▶ cleared
                                                ├ engine crashes, nothing beside it ─▶ poison: refused
                                                └ ended from outside, or not alone ──▶ suspect again

When the engine ends, all its requests fail, and any of them may be the cause. While suspects wait, all
other requests are held, so that the one on its turn is the only one the engine has. A poison request is
refused for ten minutes; its model is marked until it answers again.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from local_ai.serving.errors import ApiError
from local_ai.status.health import MarkedModel

# Longer than the window in which an engine that keeps ending is stopped for good.
_REMEMBERED_S = 600.0
# After this long on its turn a suspect lets the next one try: most that end an engine do so at once.
_ALONE_S = 10.0
_MOST_REMEMBERED = 1000


@dataclass(eq=False)
class Flight:
    """One request that the engine has."""

    began: float  # seconds since 1970
    is_alone: bool  # True as long as the engine has had no other since then


class Turn:
    """A suspect's time alone: until its answer begins, it ends, or others have waited long enough."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def begin(self) -> None:
        """Count its time from now on, once: the engine may have had to load first."""
        if self._timer is None and not self._is_over:
            self._timer = asyncio.get_running_loop().call_later(_ALONE_S, self.end)

    def end(self) -> None:
        """Let the next suspect try."""
        if not self._is_over:
            self._is_over = True
            if self._timer is not None:
                self._timer.cancel()
            self._over()


class Quarantine:
    """Finds poison requests and remembers them."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._suspects = 0  # waiting for their turn, or on it
        self._no_suspect = asyncio.Event()
        self._no_suspect.set()
        self._flights: set[Flight] = set()
        self._poison: dict[bytes, float] = {}  # fingerprint → time.monotonic() at which it was found
        self._marked: dict[str, MarkedModel] = {}
        self._proven: set[str] = set()  # models that have answered

    def check(self, path: str, body: bytes, model: str | None) -> None:
        """Refuse a request that is known to end the engine.

        Raises:
            ApiError: 422, since sending it again cannot help.
        """
        if not self._poison:
            return
        now = time.monotonic()
        self._poison = {key: at for key, at in self._poison.items() if now - at < _REMEMBERED_S}
        if _fingerprint(path, body) in self._poison:
            raise self.refusal()
        if model in self._marked and model not in self._proven and self._poison:
            raise ApiError(
                "the model is not used for now",
                status=422,
                why=f"{model} has answered nothing yet, and {self._marked[model].reason}",
                fix="name another model, or run local-ai server restart to try it again; why the engine "
                "ended is in",
                command="local-ai server logs --program mlx-omni-server",
                code="model_ends_engine",
                param="model",
            )

    @property
    def holds_others(self) -> bool:
        """True while a suspect is to be the only request that the engine has."""
        return self._suspects > 0

    async def until_no_suspect(self) -> None:
        """Wait until all suspects have had their turns."""
        await self._no_suspect.wait()

    @contextmanager
    def flight(self) -> Iterator[Flight]:
        """Count a request from its sending to the end of its answer."""
        for other in self._flights:
            other.is_alone = False
        flight = Flight(time.time(), is_alone=not self._flights)
        self._flights.add(flight)
        try:
            yield flight
        finally:
            self._flights.discard(flight)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Run as the only suspect, until its turn is over."""
        self._suspects += 1
        self._no_suspect.clear()
        try:
            await self._lock.acquire()
        except BaseException:
            self._one_less()
            raise
        turn = Turn(self._end_turn)
        try:
            yield turn
        finally:
            turn.end()

    def isolate(self, path: str, body: bytes, model: str | None) -> ApiError:
        """Remember a request that ended the engine; returns what to answer."""
        if len(self._poison) < _MOST_REMEMBERED:
            self._poison[_fingerprint(path, body)] = time.monotonic()
        if model is not None:
            reason = "the engine ended twice on one of its requests"
            self._marked[model] = MarkedModel(model, reason, time.time())
        return self.refusal()

    def answered(self, model: str | None) -> None:
        """Note that a model has answered."""
        if model is not None:
            if len(self._proven) < _MOST_REMEMBERED:
                self._proven.add(model)
            self._marked.pop(model, None)

    def marked(self) -> tuple[MarkedModel, ...]:
        """List the models that are marked."""
        return tuple(self._marked.values())

    @staticmethod
    def refusal() -> ApiError:
        """Return the answer to a poison request."""
        return ApiError(
            "the request is not sent to the engine again",
            status=422,
            why="the engine ended on it twice before it answered",
            fix="send less, or name another model; why it ended is in",
            command="local-ai server logs --program mlx-omni-server",
            code="request_ends_engine",
        )

    def _end_turn(self) -> None:
        self._lock.release()
        self._one_less()

    def _one_less(self) -> None:
        self._suspects -= 1
        if not self._suspects:
            self._no_suspect.set()


def _fingerprint(path: str, body: bytes) -> bytes:
    return hashlib.blake2b(path.encode() + b"\0" + body, digest_size=16).digest()

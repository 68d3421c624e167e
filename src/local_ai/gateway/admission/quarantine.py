"""Requests the engine ended on: sent once more, one at a time, so that the one that ends it is found.

An engine that ends takes every request with it, and one of them may be the cause. Sent again together they
would fall together. So each is alone among the suspects while it is tried again; the one on which the engine
ends a second time is refused from then on, and its model is marked until it answers again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from local_ai.serving.refusal import Refusal
from local_ai.status.health import MarkedModel

# Longer than the window in which an engine that keeps ending is stopped for good.
_REMEMBERED_S = 600.0
# A suspect that runs this long makes way for the next one: most that end an engine do so at once.
_ALONE_S = 10.0
_MOST_REMEMBERED = 1000


class Turn:
    """A suspect's time alone: until its answer begins, it ends, or others have waited long enough."""

    def __init__(self, line: asyncio.Lock) -> None:
        self._line = line
        self._timer: asyncio.TimerHandle | None = None
        self.is_over = False

    def begin(self) -> None:
        """Count its time from now on, once: the engine may have had to load first."""
        if self._timer is None and not self.is_over:
            self._timer = asyncio.get_running_loop().call_later(_ALONE_S, self.end)

    def end(self) -> None:
        """Make way for the next suspect."""
        if not self.is_over:
            self.is_over = True
            if self._timer is not None:
                self._timer.cancel()
            self._line.release()


class Suspects:
    """What is known of requests on which the engine ended."""

    def __init__(self) -> None:
        self._line = asyncio.Lock()
        self._guilty: dict[bytes, float] = {}  # fingerprint → time.monotonic() of its conviction
        self._marked: dict[str, MarkedModel] = {}
        self._proven: set[str] = set()  # models that have answered

    def check(self, path: str, body: bytes, model: str | None) -> None:
        """Refuse what is known to end the engine.

        Raises:
            Refusal: 422, since sending it again cannot help.
        """
        if not self._guilty:
            return
        now = time.monotonic()
        self._guilty = {key: at for key, at in self._guilty.items() if now - at < _REMEMBERED_S}
        if _fingerprint(path, body) in self._guilty:
            raise self.refusal()
        if model in self._marked and model not in self._proven and self._guilty:
            raise Refusal(
                "the model is not asked again for now",
                status=422,
                why=f"{model} has answered nothing yet, and {self._marked[model].reason}",
                fix="name another model, or run local-ai server restart to try it again; why the engine "
                "ended is in: local-ai server logs --program mlx-omni-server",
                code="model_ends_engine",
                param="model",
            )

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Turn]:
        """Be the only suspect that is tried, until its turn is over."""
        await self._line.acquire()
        turn = Turn(self._line)
        try:
            yield turn
        finally:
            turn.end()

    def convict(self, path: str, body: bytes, model: str | None) -> Refusal:
        """Remember a request on which the engine ended twice; returns what to answer."""
        if len(self._guilty) < _MOST_REMEMBERED:
            self._guilty[_fingerprint(path, body)] = time.monotonic()
        if model is not None:
            reason = "the engine ended twice on one of its requests"
            self._marked[model] = MarkedModel(model, reason, time.time())
        return self.refusal()

    def answered(self, model: str | None) -> None:
        """Note that a model has answered."""
        if model is not None:
            self._proven.add(model)
            self._marked.pop(model, None)

    def marked(self) -> tuple[MarkedModel, ...]:
        """List the models that are marked."""
        return tuple(self._marked.values())

    @staticmethod
    def refusal() -> Refusal:
        """Return what a request hears that ends the engine."""
        return Refusal(
            "the request is not sent to the engine again",
            status=422,
            why="the engine ended on it twice before it answered",
            fix="send less, or name another model; why it ended is in: "
            "local-ai server logs --program mlx-omni-server",
            code="request_ends_engine",
        )


def _fingerprint(path: str, body: bytes) -> bytes:
    return hashlib.blake2b(path.encode() + b"\0" + body, digest_size=16).digest()

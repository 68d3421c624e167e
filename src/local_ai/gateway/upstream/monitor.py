"""The gateway's view of the server right now: the report that all show, and a probe of the engine."""

import asyncio
import time
from collections.abc import Callable

from local_ai.gateway.upstream.cached import Cached
from local_ai.gateway.upstream.client import EngineProbe, Upstream
from local_ai.settings.state import State, target_of
from local_ai.status.health import Queue
from local_ai.status.observe import observe
from local_ai.status.report import Report

# Half the page's poll: many open pages cost as much as one, and none sees much of the past.
_REPORT_AGE_S = 0.5
_LOOK_AGE_S = 0.05
# An engine that has just begun imports for a second or two: the page does not wait until it answers.
_YOUNG_ENGINE_S = 0.05
# For this long after a probe that went well, requests are sent without another.
_TRUST_S = 1.0


class Monitor:
    """The latest report and probe, each gathered once for all who ask."""

    def __init__(self, state: State, upstream: Upstream, queue: Callable[[], Queue]) -> None:
        self._state = state
        self.queue = queue
        self._report = Cached(self._observe, max_age_s=_REPORT_AGE_S)
        self._look = Cached(upstream.look, max_age_s=_LOOK_AGE_S)
        self._trusted_until = 0.0  # time.monotonic()
        self._ends = 0  # how often the engine has ended
        self._batch_changed: Callable[[int], None] | None = None
        self._batch: int | None = None  # answers that the engine generates at once

    def on_batch(self, changed: Callable[[int], None] | None) -> None:
        """Have this called when the engine generates another number of answers at once than before."""
        self._batch_changed, self._batch = changed, None

    async def report(self) -> Report:
        """Return the report; up to some seconds late where supervisord hangs."""
        return await self._report.get()

    async def look(self) -> EngineProbe:
        """Return a probe of the engine; takes at most a second."""
        ends = self._ends
        look = await self._look.get()
        batch = look.health and look.health.max_batch
        if batch and batch != self._batch and self._batch_changed:
            self._batch = batch
            self._batch_changed(batch)
        is_fine = look.can_answer and ends == self._ends
        self._trusted_until = time.monotonic() + _TRUST_S if is_fine else 0.0
        return look

    def trusts_engine(self) -> bool:
        """True if a probe went well in the last second and the engine has not ended since."""
        return time.monotonic() < self._trusted_until

    def engine_is_gone(self) -> None:
        """Forget what was seen: a connection to the engine was refused or lost."""
        self._trusted_until = 0.0
        self._ends += 1
        self._look.forget()
        self._report.forget()

    async def _observe(self) -> Report:
        state = self._state
        target = target_of(state.settings, default_model=state.default_model)
        return await asyncio.to_thread(
            observe, target, state.paths, queue=self.queue(), young_engine_s=_YOUNG_ENGINE_S
        )

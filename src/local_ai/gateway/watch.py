"""What the gateway knows of the server right now: the report everybody shows, and a look at the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from local_ai.gateway.fresh import Fresh
from local_ai.gateway.upstream import Look, Upstream
from local_ai.observe import observe
from local_ai.program import Queue
from local_ai.state import State
from local_ai.status import Report
from local_ai.target import target_of

# Half the page's poll: many open pages cost as much as one, and none sees much of the past.
_REPORT_AGE_S = 0.5
_LOOK_AGE_S = 0.05
# So long after a good look requests are sent at once, even where the engine's end would not be noticed.
_TRUST_S = 1.0


class Watch:
    """The latest report and look, each gathered once for all who ask."""

    def __init__(self, state: State, upstream: Upstream, queue: Callable[[], Queue]) -> None:
        self._state = state
        self.queue = queue
        self._report = Fresh(self._observe, max_age_s=_REPORT_AGE_S)
        self._look = Fresh(upstream.look, max_age_s=_LOOK_AGE_S)
        self._was_fine = False
        self._trusted_until = 0.0
        self._is_held = False
        self._ends = 0  # of engines, since the gateway began

    async def report(self) -> Report:
        """Return the report; up to some seconds late where supervisord hangs."""
        return await self._report.get()

    async def look(self) -> Look:
        """Return a look at the engine, within about a second."""
        ends = self._ends
        look = await self._look.get()
        self._was_fine = look.can_answer and ends == self._ends
        self._trusted_until = time.monotonic() + _TRUST_S
        return look

    @property
    def engine_was_fine(self) -> bool:
        """Whether the engine could take a request a moment ago, or could once and has not ended since."""
        return self._was_fine and (self._is_held or time.monotonic() < self._trusted_until)

    def engine_is_held(self) -> None:
        """Learn that its end will be noticed at once, by a connection that is held for it."""
        self._is_held = True

    def engine_is_gone(self) -> None:
        """Forget what was seen: a connection to the engine was refused or lost."""
        self._was_fine = self._is_held = False
        self._ends += 1
        self._look.forget()
        self._report.forget()

    async def _observe(self) -> Report:
        state = self._state
        target = target_of(state.settings, default_model=state.default_model)
        return await asyncio.to_thread(observe, target, state.paths, queue=self.queue())

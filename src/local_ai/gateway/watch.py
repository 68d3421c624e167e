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
# A request that comes within this time of a good look is sent at once.
_TRUST_S = 1.0


class Watch:
    """The latest report and look, each gathered once for all who ask."""

    def __init__(self, state: State, upstream: Upstream, queue: Callable[[], Queue]) -> None:
        self._state = state
        self.queue = queue
        self._report = Fresh(self._observe, max_age_s=_REPORT_AGE_S)
        self._look = Fresh(upstream.look, max_age_s=_LOOK_AGE_S)
        self._good_until = 0.0

    async def report(self) -> Report:
        """Return the report; up to some seconds late where supervisord hangs."""
        return await self._report.get()

    async def look(self) -> Look:
        """Return a look at the engine, within about a second."""
        look = await self._look.get()
        self._good_until = time.monotonic() + _TRUST_S if look.can_answer else 0.0
        return look

    @property
    def engine_was_fine(self) -> bool:
        """Whether the engine could take a request within the last second."""
        return time.monotonic() < self._good_until

    def engine_is_gone(self) -> None:
        """Forget what was seen: a connection to the engine was refused or lost."""
        self._good_until = 0.0
        self._look.forget()
        self._report.forget()

    async def _observe(self) -> Report:
        state = self._state
        target = target_of(state.settings, default_model=state.default_model)
        return await asyncio.to_thread(observe, target, state.paths, queue=self.queue())

"""What the gateway knows of the server right now: the report everybody shows, and a look at the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from local_ai.gateway.upstream.cached import Fresh
from local_ai.gateway.upstream.client import Look, Upstream
from local_ai.settings.state import State
from local_ai.settings.target import target_of
from local_ai.status.health import Queue
from local_ai.status.observe import observe
from local_ai.status.report import Report

# Half the page's poll: many open pages cost as much as one, and none sees much of the past.
_REPORT_AGE_S = 0.5
_LOOK_AGE_S = 0.05
# So long after a good look requests are sent at once, even where the engine's end would not be noticed.
_TRUST_S = 1.0
# A look beside a request that was sent lets it go first.
_MEANWHILE_S = 0.1


class Watch:
    """The latest report and look, each gathered once for all who ask."""

    def __init__(self, state: State, upstream: Upstream, queue: Callable[[], Queue]) -> None:
        self._state = state
        self.queue = queue
        self._report = Fresh(self._observe, max_age_s=_REPORT_AGE_S)
        self._look = Fresh(upstream.look, max_age_s=_LOOK_AGE_S)
        self._was_fine = False  # at the last look
        self._trusted_until = 0.0  # whatever happens; time.monotonic()
        self._is_held = False
        self._is_sure = False  # it was asked, and answered, while it was held
        self._ends = 0  # how often one has ended
        self._looking: asyncio.Task[Look] | None = None

    async def report(self) -> Report:
        """Return the report; up to some seconds late where supervisord hangs."""
        return await self._report.get()

    async def look(self) -> Look:
        """Return a look at the engine, within about a second."""
        ends, held = self._ends, self._is_held
        look = await self._look.get()
        self._was_fine = look.can_answer and ends == self._ends
        self._is_sure = held and look.health is not None
        self._trusted_until = time.monotonic() + _TRUST_S
        return look

    def trusts_engine(self) -> bool:
        """Whether a request can be sent without a look.

        It can where the engine was fine a moment ago; and where it was fine once and has not ended since,
        though it is looked at again meanwhile, for the requests that come next.
        """
        if not self._was_fine or time.monotonic() < self._trusted_until:
            return self._was_fine
        if not (self._is_held and self._is_sure):
            return False
        self._trusted_until = time.monotonic() + _TRUST_S
        asyncio.get_running_loop().call_later(_MEANWHILE_S, self._look_again)
        return True

    def engine_is_held(self) -> None:
        """Learn that its end will be noticed at once, by a connection that is held for it."""
        self._is_held, self._is_sure = True, False

    def engine_is_released(self) -> None:
        """Learn that the connection that was held for it has ended, and the engine with it."""
        self._is_held = False
        self.engine_is_gone()

    def engine_is_gone(self) -> None:
        """Forget what was seen: a connection to the engine was refused or lost."""
        self._was_fine = self._is_sure = False
        self._ends += 1
        self._look.forget()
        self._report.forget()

    def _look_again(self) -> None:
        self._looking = asyncio.create_task(self.look())

    async def _observe(self) -> Report:
        state = self._state
        target = target_of(state.settings, default_model=state.default_model)
        return await asyncio.to_thread(observe, target, state.paths, queue=self.queue())

"""Hold requests while the engine cannot take them, and say why where waiting is no use.

engine ready, busy, without its model ──────▶ pass (a probe that went well counts for a second)
importing, loading, restarting, not up yet ─▶ wait, at most gateway.wait_for_engine_s, then 503
failed for good ───────────────────────────▶ 503 at once
stopped by hand ───────────────────────────▶ 503 after a moment: a restart passes through it too
the gateway is closed ─────────────────────▶ 503 at once
"""

import asyncio
import time
from collections.abc import Coroutine

from local_ai.gateway.upstream.monitor import Monitor
from local_ai.serving.errors import ApiError
from local_ai.status.report import Report
from local_ai.status.verdict import Readiness
from local_ai.supervision.program import ENGINE, STOPPED_S, ProcessState

_ENGINE_POLL_S = 0.1
_SUPERVISOR_POLL_S = 0.5
_RESTART_S = 30.0
_STARTING_RETRY_S = 5
_FAILED_RETRY_S = 30


class ReadinessGate:
    """Waits until the engine can take a request."""

    def __init__(self, watch: Monitor, closed: asyncio.Event, *, wait_s: float) -> None:
        self._watch = watch
        self._closed = closed
        self.wait_s = wait_s

    async def pass_through(self, waited_s: float = 0.0) -> None:
        """Return as soon as the engine can take a request.

        Args:
            waited_s: How long the request has waited already, in the queue.

        Raises:
            ApiError: It cannot, and waiting is over or no use.
        """
        if self._closed.is_set():
            raise stopping_refusal()
        if self._watch.trusts_engine() or (await self._watch.look()).can_answer:
            return
        # One that waited long in the queue still gets the time of a restart.
        timeout_s = max(self.wait_s - waited_s, min(self.wait_s, _RESTART_S))
        await self._first_of(
            self._until_ready(), self._until_unrecoverable(), self._until_closed(), timeout_s=timeout_s
        )

    async def _first_of(self, *waits: Coroutine[None, None, None], timeout_s: float) -> None:
        tasks = [asyncio.create_task(wait) for wait in waits]
        try:
            done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise await self._too_long()
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _until_ready(self) -> None:
        while not (await self._watch.look()).can_answer:
            await asyncio.sleep(_ENGINE_POLL_S)

    async def _until_unrecoverable(self) -> None:
        began = time.monotonic()
        while True:
            report = await self._watch.report()
            if refusal := unrecoverable(report, waited_s=time.monotonic() - began):
                raise refusal
            await asyncio.sleep(_SUPERVISOR_POLL_S)

    async def _until_closed(self) -> None:
        await self._closed.wait()
        raise stopping_refusal()

    async def _too_long(self) -> ApiError:
        try:
            report = await asyncio.wait_for(self._watch.report(), 1.0)
            why = report.verdict.sentence
        except TimeoutError:
            why = "supervisord does not answer"
        return ApiError(
            f"the engine was not ready within {self.wait_s:g} s",
            status=503,
            why=why[:1].lower() + why[1:],
            fix="try again in a moment; local-ai server status shows its progress",
            code="engine_not_ready",
            retry_after_s=_STARTING_RETRY_S,
        )


def unrecoverable(report: Report, *, waited_s: float) -> ApiError | None:
    """Tell why no waiting will help, or None if it may.

    Args:
        waited_s: How long the engine has been seen like this by the request that asks.
    """
    row = next((row for row in report.programs if row.name == ENGINE), None)
    if row is None:
        return None
    failed = row.state in {ProcessState.FATAL, ProcessState.EXITED} and row.readiness is Readiness.UNHEALTHY
    if failed or (row.state is ProcessState.STOPPED and waited_s >= STOPPED_S):
        return ApiError(
            "the engine cannot answer",
            status=503,
            why=f"{row.detail or 'it is ' + row.state.value}, and it is not restarted by itself",
            fix=report.verdict.fix,
            command=report.verdict.command or ("" if report.verdict.fix else "local-ai server restart"),
            code="engine_down",
            retry_after_s=_FAILED_RETRY_S,
        )
    return None


def stopping_refusal() -> ApiError:
    """Return the error for requests that arrive, or still run, while the server stops."""
    return ApiError(
        "the server is stopping",
        status=503,
        why="it was told to stop or restart",
        fix="send the request again once local-ai server status says ready",
        code="stopping",
        retry_after_s=_STARTING_RETRY_S,
    )

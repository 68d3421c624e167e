"""Access to the program `omni`: whether a part is installed, and whether the program can take a request.

a model that is not here ─────────▶ 404
can never work on this platform ──▶ 501
not installed, or not started ────▶ 503, naming the command that is missing
starting, or restarting ──────────▶ wait, at most gateway.wait_for_engine_s, then 503
failed, or stopped by hand ───────▶ 503 at once
"""

import asyncio
import time

from local_ai.gateway.admission.readiness import stopping_refusal
from local_ai.gateway.upstream.client import Upstream
from local_ai.gateway.upstream.monitor import Monitor
from local_ai.models.library import find_folder, library_for
from local_ai.models.not_found import model_not_found
from local_ai.serving.errors import ApiError
from local_ai.settings.state import State
from local_ai.status.verdict import Readiness
from local_ai.supervision.omni import Part, installed_parts, runs_here
from local_ai.supervision.program import OMNI

_POLL_S = 0.2


def check_part(part: Part, model: str | None, state: State) -> None:
    """Let a request for a part pass where its model is here and the program `omni` was started with the part.

    Raises:
        ApiError: 404, no such model is on this machine; 501, it cannot work here; 503, a command is missing.
    """
    refusal = None if part.name in state.omni_parts else _not_there(part, state)
    if model is not None:
        _check_model(model, refusal, state)
    if refusal is not None:
        raise refusal
    if model is None and part.default_model is not None:
        _check_model(part.default_model, None, state)


def _check_model(name: str, refusal: ApiError | None, state: State) -> None:
    library = library_for(state.settings, state.paths)
    if find_folder(name, library, state.paths.hub_cache) is not None:
        return
    error = model_not_found(name, library)
    if refusal is not None:  # a download alone would not help
        error.why = f"{error.why}; and {refusal.why}"
        error.fix, error.command = f"{error.whole_fix}; and {refusal.whole_fix}", ""
    raise error


def _not_there(part: Part, state: State) -> ApiError:
    what = f"{part.path} is not answered"
    if not runs_here(part):
        return ApiError(
            what,
            status=501,
            why=part.why_not_here,
            fix="use a Mac with Apple Silicon, or leave this request out",
            code="not_implemented",
            may_retry=False,
        )
    if part.name in installed_parts(state.paths):
        why, fix = f"{part.name} was installed after the server started", ""
    else:
        why = f"{part.name} is not installed"
        fix = f"local-ai omni install {part.name}, then"
    again = "local-ai server restart"
    return ApiError(what, status=503, why=why, fix=fix, command=again, code="not_installed", may_retry=False)


class OmniGate:
    """Holds requests while the program `omni` cannot take them."""

    def __init__(self, upstream: Upstream, watch: Monitor, closed: asyncio.Event, *, wait_s: float) -> None:
        self._upstream = upstream
        self._watch = watch
        self._closed = closed
        self.wait_s = wait_s

    async def pass_through(self, waited_s: float = 0.0) -> None:
        """Return as soon as the program can take a request.

        Args:
            waited_s: How long the request has waited already, in the queue.

        Raises:
            ApiError: It cannot, and waiting is over or no use.
        """
        deadline = time.monotonic() + self.wait_s - waited_s
        while True:
            if self._closed.is_set():
                raise stopping_refusal()
            if (await self._upstream.look()).can_answer:
                return
            await self._refuse_unless_coming(is_over=time.monotonic() >= deadline)
            await asyncio.sleep(_POLL_S)

    async def _refuse_unless_coming(self, *, is_over: bool) -> None:
        report = await self._watch.report()
        row = next((row for row in report.programs if row.name == OMNI), None)
        has_failed = row is not None and row.readiness in {Readiness.UNHEALTHY, Readiness.STOPPED}
        if has_failed or is_over:
            raise ApiError(
                "the program omni cannot answer",
                status=503,
                why=(row.detail if row else "") or "it does not listen",
                fix="read local-ai server logs --program omni, then run",
                command="local-ai server restart",
                code="omni_down",
            )

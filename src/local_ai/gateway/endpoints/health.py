"""The server's state for programs: liveness, readiness, the whole report, and what a problem report holds."""

import asyncio
import os
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from local_ai.gateway.access.api_keys import is_local
from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.query import refusals
from local_ai.gateway.endpoints.schemas import (
    ActivityBody,
    DiagnosticsBody,
    Liveness,
    QueueBody,
    ReadinessBody,
    StatusBody,
)
from local_ai.gateway.metrics import CONTENT_TYPE
from local_ai.status.diagnostics import gather
from local_ai.status.report import to_plain

_NOT_STORED = {"Cache-Control": "no-store"}
_NOT_READY: dict[str, Any] = {"model": ReadinessBody, "description": "It cannot."}


def health_router(context: GatewayContext) -> APIRouter:
    """Answer `/healthz`, `/readyz`, `/metrics`, and status, queue, activity and diagnostics as JSON."""
    router = APIRouter(responses=refusals(403), dependencies=[Depends(_not_stored)])

    @router.get("/healthz", response_model=Liveness, response_model_exclude_unset=True)
    async def healthz(request: Request) -> Any:
        """Answer as long as the gateway lives; on this machine, `state_dir` tells which copy this is."""
        answer = {"service": "local-ai", "status": "ok", "version": context.state.version}
        own = {
            "state_dir": str(context.state.paths.state_dir),
            "pid": os.getpid(),
            "revision": context.state.revision,
        }
        return answer | own if _is_here(request) else answer

    @router.get("/readyz", response_model=ReadinessBody, responses={503: _NOT_READY})
    async def readyz(request: Request, response: Response) -> Any:
        """Say whether the engine can take a request, by asking the engine itself."""
        ready = (await context.watch.look()).can_answer and not context.forwarding.shutdown.closed.is_set()
        verdict = (await context.watch.report()).verdict
        if not _is_here(request):
            # A reason may quote a log and name a folder.
            verdict = replace(verdict, aside="", why="", see="")
        if not ready:
            response.status_code = 503
            response.headers["Retry-After"] = "5"
        return {"ready": ready, "verdict": verdict.to_json()}

    @router.get("/status.json", response_model=StatusBody, responses=refusals(401))
    async def status() -> Any:
        """Return the report that `local-ai server status --json` prints."""
        return (await context.watch.report()).to_json()

    @router.get("/queue.json", response_model=QueueBody, responses=refusals(401))
    async def queue() -> Any:
        """List the requests that run and wait; `server status` sees by it that the gateway is ours."""
        return {"service": "local-ai", **to_plain(context.watch.queue())}

    @router.get("/activity.json", response_model=ActivityBody, responses=refusals(401))
    async def activity() -> Any:
        """List the last hundred requests that have ended, the newest first; nothing of what they said."""
        told = await context.forwarding.upstream.recent()
        return {"requests": context.forwarding.activity.read(told)}

    @router.get("/metrics", response_class=PlainTextResponse, responses=refusals(401))
    async def metrics() -> Response:
        """Return requests, queue, times, tokens, restarts and memory, for Prometheus."""
        report = await context.watch.report()
        text = await asyncio.to_thread(context.forwarding.metrics.render, report)
        return Response(text, headers=_NOT_STORED, media_type=CONTENT_TYPE)

    @router.get("/diagnostics.json", response_model=DiagnosticsBody, responses=refusals(401))
    async def diagnostics() -> Any:
        """Return the content of a problem report, as the page's "Copy diagnostics" copies it."""
        report, state = await context.watch.report(), context.state
        return await asyncio.to_thread(gather, state.settings, state.paths, report)

    return router


async def _not_stored(response: Response) -> None:
    response.headers.update(_NOT_STORED)


def _is_here(request: Request) -> bool:
    """Tell whether a client is on this machine; it may use an address that others can reach, too."""
    peer = request.client.host if request.client else None
    own, _ = request.scope.get("server") or (None, None)
    return is_local(peer) or (peer is not None and peer == own)

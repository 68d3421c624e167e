"""How the server is, for machines: liveness, readiness, and the whole report."""

from __future__ import annotations

import asyncio
import os

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_ai.gateway.access.api_keys import is_local
from local_ai.gateway.context import Site
from local_ai.gateway.metrics import CONTENT_TYPE
from local_ai.status.report import to_plain

_NOT_STORED = {"Cache-Control": "no-store"}


def health_routes(site: Site) -> list[Route]:
    """Answer `/healthz`, `/readyz` and `/status.json`."""

    async def healthz(request: Request) -> Response:
        """Answer as long as the gateway lives; on this machine, `state_dir` tells which copy this is."""
        answer = {"service": "local-ai", "status": "ok", "version": site.state.version}
        own = {"state_dir": str(site.state.state_dir), "pid": os.getpid()}
        return JSONResponse(answer | own if _is_here(request) else answer, headers=_NOT_STORED)

    async def readyz(request: Request) -> Response:
        """Say whether the engine can take a request, by asking the engine itself."""
        ready = (await site.watch.look()).can_answer and not site.lane.ending.closed.is_set()
        verdict = (await site.watch.report()).to_json()["verdict"]
        if not _is_here(request):
            # What may quote a log, and name a folder; a sentence ends with it in brackets.
            verdict |= {"sentence": verdict["sentence"].partition(" (")[0], "why": "", "see": ""}
        headers = _NOT_STORED if ready else {**_NOT_STORED, "Retry-After": "5"}
        return JSONResponse({"ready": ready, "verdict": verdict}, 200 if ready else 503, headers)

    async def status(_request: Request) -> Response:
        """Return what `server.status --json` prints."""
        return JSONResponse((await site.watch.report()).to_json(), headers=_NOT_STORED)

    async def queue(_request: Request) -> Response:
        """Say what is running and waiting; what `server.status` asks to see that it is us."""
        return JSONResponse({"service": "local-ai", **to_plain(site.watch.queue())}, headers=_NOT_STORED)

    async def metrics(_request: Request) -> Response:
        """Tell Prometheus."""
        report = await site.watch.report()
        text = await asyncio.to_thread(site.lane.metrics.render, report)
        return Response(text, headers=_NOT_STORED, media_type=CONTENT_TYPE)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/status.json", status),
        Route("/queue.json", queue),
        Route("/metrics", metrics),
    ]


def _is_here(request: Request) -> bool:
    """Tell whether a client is on this machine; it may have come by an address that others can reach."""
    peer = request.client.host if request.client else None
    own, _ = request.scope.get("server") or (None, None)
    return is_local(peer) or (peer is not None and peer == own)

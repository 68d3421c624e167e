"""How the server is, for machines: liveness, readiness, and the whole report."""

from __future__ import annotations

import os

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from local_ai.gateway.site import Site

_NOT_STORED = {"Cache-Control": "no-store"}


def health_router(site: Site) -> APIRouter:
    """Answer `/healthz`, `/readyz` and `/status.json`."""
    router = APIRouter()

    @router.api_route("/healthz", methods=["GET", "HEAD"])
    async def healthz() -> Response:
        """Answer as long as the gateway lives; `state_dir` tells which copy this is."""
        return JSONResponse(
            {
                "service": "local-ai",
                "status": "ok",
                "version": site.state.version,
                "state_dir": str(site.state.state_dir),
                "pid": os.getpid(),
            },
            headers=_NOT_STORED,
        )

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    async def readyz() -> Response:
        """Say whether the engine can take a request, by asking the engine itself."""
        ready = (await site.watch.look()).can_answer and not site.lane.stopping.is_set()
        verdict = (await site.watch.report()).to_json()["verdict"]
        headers = _NOT_STORED if ready else {**_NOT_STORED, "Retry-After": "5"}
        return JSONResponse({"ready": ready, "verdict": verdict}, 200 if ready else 503, headers)

    @router.get("/status.json")
    async def status() -> Response:
        """Return what `server.status --json` prints."""
        return JSONResponse((await site.watch.report()).to_json(), headers=_NOT_STORED)

    return router

"""The content of a problem report, for the page's "Copy diagnostics"."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.query import refusals
from local_ai.gateway.endpoints.schemas import DiagnosticsBody
from local_ai.status.diagnostics import gather


def diagnostics_router(context: GatewayContext) -> APIRouter:
    """Answer `/diagnostics.json`."""
    router = APIRouter()

    @router.get("/diagnostics.json", response_model=DiagnosticsBody, responses=refusals(401, 403))
    async def diagnostics(response: Response) -> Any:
        """Return the content of a problem report, as the page's "Copy diagnostics" copies it."""
        response.headers["Cache-Control"] = "no-store"
        report = await context.watch.report()
        state = context.state
        return await asyncio.to_thread(gather, state.settings, state.paths, report)

    return router

"""The API routes: models answered here, everything else forwarded to the engine."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from local_ai.gateway.fill import fill
from local_ai.gateway.forward import Call, Forward
from local_ai.gateway.intake import check_media_type, parse_object, read_body
from local_ai.gateway.model_lists import (
    anthropic_list,
    anthropic_model,
    openai_list,
    openai_model,
    pick_model,
)
from local_ai.gateway.routes import ROUTES, Route
from local_ai.gateway.site import Site

# Of the client's headers; keys and cookies, for one, are none of the engine's business.
_PASSED_ON = ("accept", "anthropic-beta", "anthropic-version", "content-type", "user-agent", "x-request-id")


def models_router(site: Site) -> APIRouter:
    """Answer the families' model lists from the model folders."""
    router = APIRouter()

    @router.get("/v1/models")
    async def openai_models() -> Response:
        return JSONResponse(openai_list(await site.models()))

    @router.get("/v1/models/{model_id:path}")
    async def openai_one(model_id: str) -> Response:
        return JSONResponse(openai_model(pick_model(model_id, await site.models())))

    @router.get("/anthropic/v1/models")
    async def anthropic_models(
        limit: int = Query(1000, ge=1, le=1000),
        after_id: str | None = None,
        before_id: str | None = None,
    ) -> Response:
        models = await site.models()
        return JSONResponse(anthropic_list(models, limit=limit, after=after_id, before=before_id))

    @router.get("/anthropic/v1/models/{model_id:path}")
    async def anthropic_one(model_id: str) -> Response:
        return JSONResponse(anthropic_model(pick_model(model_id, await site.models())))

    return router


def forward_router(site: Site) -> APIRouter:
    """Forward what `ROUTES` lists."""
    router = APIRouter()
    for route in ROUTES:
        router.add_api_route(route.path, _forwarder(route, site), methods=["POST"], response_model=None)
    return router


def _forwarder(route: Route, site: Site) -> Callable[[Request], Awaitable[Response]]:
    most_bytes = site.state.settings.gateway.max_body_mb * 1024 * 1024

    async def forward(request: Request) -> Response:
        check_media_type(request.headers.get("content-type", ""), route)
        body = await read_body(request, most_bytes=most_bytes)
        headers = _passed_on(request.headers)
        if route.takes != "application/json":
            return Forward(Call(route, headers, body, streams=False), site.lane)
        filled = fill(parse_object(body), route, await site.defaults.get())
        if filled.names:
            headers["x-local-ai-filled"] = ",".join(filled.names)
        call = Call(
            route, headers, json.dumps(filled.body).encode(), streams=filled.body.get("stream") is True
        )
        return Forward(call, site.lane)

    return forward


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in _PASSED_ON if name in headers}

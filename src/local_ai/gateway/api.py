"""The API routes: models answered here, everything else forwarded to the engine."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import starlette.routing
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local_ai.gateway.call import Call
from local_ai.gateway.fill import fill
from local_ai.gateway.forward import Forward
from local_ai.gateway.intake import check_media_type, parse_object, read_body
from local_ai.gateway.model_lists import (
    MOST_PER_PAGE,
    anthropic_list,
    anthropic_model,
    openai_list,
    openai_model,
    pick_model,
)
from local_ai.gateway.query import whole_number
from local_ai.gateway.routes import ROUTES, Route
from local_ai.gateway.site import Site
from local_ai.models.catalog import Model

# Of the client's headers; keys and cookies, for one, are none of the engine's business.
_PASSED_ON = ("accept", "anthropic-beta", "anthropic-version", "content-type", "user-agent", "x-request-id")
_MOST_NAME = 200  # characters of a model's name that are shown


def models_routes(site: Site) -> list[starlette.routing.Route]:
    """Answer the families' model lists from the model folders."""

    async def openai_models(_request: Request) -> Response:
        return JSONResponse(openai_list(await site.models()))

    async def openai_one(request: Request) -> Response:
        return JSONResponse(openai_model(await _one(request.path_params["id"], site)))

    async def anthropic_models(request: Request) -> Response:
        limit = whole_number(request, "limit", default=MOST_PER_PAGE, least=1, most=MOST_PER_PAGE)
        after, before = request.query_params.get("after_id"), request.query_params.get("before_id")
        return JSONResponse(anthropic_list(await site.models(), limit=limit, after=after, before=before))

    async def anthropic_one(request: Request) -> Response:
        return JSONResponse(anthropic_model(await _one(request.path_params["id"], site)))

    return [
        starlette.routing.Route("/v1/models", openai_models),
        starlette.routing.Route("/v1/models/{id:path}", openai_one),
        starlette.routing.Route("/anthropic/v1/models", anthropic_models),
        starlette.routing.Route("/anthropic/v1/models/{id:path}", anthropic_one),
    ]


async def _one(name: str, site: Site) -> Model:
    return await site.model_named(name) or pick_model(name, await site.models())


def forward_routes(site: Site) -> list[starlette.routing.Route]:
    """Forward what `ROUTES` lists."""
    return [
        starlette.routing.Route(route.path, _forwarder(route, site), methods=[route.method])
        for route in ROUTES
    ]


def _forwarder(route: Route, site: Site) -> Callable[[Request], Awaitable[Response]]:
    most_bytes = site.state.settings.gateway.max_body_mb * 1024 * 1024

    async def forward(request: Request) -> Response:
        if route.takes is None:
            return Forward(Call(route, route.method, _target(request), _headers(request), b""), site.lane)
        check_media_type(request.headers.get("content-type", ""), route)
        booking = site.room.book()
        try:
            body = await read_body(request, most_bytes=most_bytes, hold=booking.hold)
            call = await _call(request, route, body, site)
            booking.hold(max(len(body), len(call.body)))  # JSON may have grown by escapes
        except BaseException:
            booking.end()
            raise
        return Forward(replace(call, booking=booking), site.lane)

    return forward


async def _call(request: Request, route: Route, body: bytes, site: Site) -> Call:
    """Make the call that a request with a body stands for."""
    headers = _headers(request)
    if route.takes != "application/json":
        return Call(route, "POST", _target(request), headers, body)
    filled = fill(parse_object(body), route, await site.defaults.get())
    if filled.names:
        headers["x-local-ai-filled"] = ",".join(filled.names)
    model = filled.body.get("model")
    return Call(
        route,
        "POST",
        _target(request),
        headers,
        json.dumps(filled.body).encode(),
        streams=filled.body.get("stream") is True,
        model=model[:_MOST_NAME] if isinstance(model, str) else None,
    )


def _headers(request: Request) -> dict[str, str]:
    return {name: request.headers[name] for name in _PASSED_ON if name in request.headers}


def _target(request: Request) -> str:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")

"""The forwarded API routes."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import PurePath

import starlette.routing
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from local_ai.gateway.activity import client_name
from local_ai.gateway.admission.body_memory import Reservation
from local_ai.gateway.admission.omni import check_part
from local_ai.gateway.context import GatewayContext
from local_ai.gateway.forwarding.relay import Call, Forward
from local_ai.gateway.forwarding.request_body import check_media_type, peek, read_body
from local_ai.gateway.forwarding.routes import ROUTES, Route
from local_ai.gateway.peers.client import FORWARDED
from local_ai.gateway.peers.forward import PeerForward
from local_ai.gateway.peers.trip import plan_trip
from local_ai.printable import printable
from local_ai.serving.multipart import read_form_model
from local_ai.settings.state import State

# Of the client's headers; keys and cookies, for one, are none of the engine's business.
_PASSED_ON = {
    b"accept",
    b"anthropic-beta",
    b"anthropic-version",
    b"content-type",
    b"user-agent",
    b"x-request-id",
}
# Parsed in a thread from here on: 1 ms for most, several for bodies that were made to be slow.
_LARGE_BYTES = 256 * 1024
_MOST_NAME = 200  # characters of a model's name that are shown


def forward_routes(context: GatewayContext) -> list[starlette.routing.Route]:
    """Forward what `ROUTES` lists."""
    forwarded = [
        starlette.routing.Route(route.path, _Forwarder(route, context), methods=[route.method])
        for route in ROUTES
    ]
    return [*_fixed_addresses(), *forwarded]


def _fixed_addresses() -> list[starlette.routing.Route]:
    """Refuse other methods at an address that would pass for an id: `/v1/responses/input_tokens` is none."""
    refused = []
    for route in ROUTES:
        others = [
            each.method
            for each in ROUTES
            if "{" in each.path
            and "{" not in route.path
            and starlette.routing.compile_path(each.path)[0].match(route.path)
        ]
        if others:
            answer = partial(_refuse_method, route.method)
            refused.append(starlette.routing.Route(route.path, answer, methods=others))
    return refused


async def _refuse_method(allowed: str, _request: Request) -> Response:
    raise HTTPException(405, headers={"Allow": allowed})


class _Forwarder:
    """One path's application: makes a call of a request, and answers it."""

    def __init__(self, route: Route, context: GatewayContext) -> None:
        self._route = route
        self._context = context
        self._most_bytes = context.state.settings.gateway.max_body_mb * 1024 * 1024
        self._default_name = _default_name(context.state) if route.names_text_model else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise a Refusal."""
        request = Request(scope, receive)
        forwarding = self._context.forwarding
        with self._context.body_memory.book() as reservation:
            call = await self._call(request, reservation)
            if self._route.part is not None:
                await asyncio.to_thread(check_part, self._route.part, call.model, self._context.state)
                forwarding = self._context.omni_forwarding
            is_forwarded = FORWARDED in request.headers
            if self._context.peers and (
                trip := await plan_trip(call, self._context, is_forwarded=is_forwarded)
            ):
                await PeerForward(call, forwarding, trip, self._context.peers.affinity)(receive, send)
            else:
                await Forward(call, forwarding)(receive, send)

    async def _call(self, request: Request, reservation: Reservation) -> Call:
        route = self._route
        client = client_name(request.headers.get("user-agent", ""))
        call = Call(route, route.method, _target(request), _headers(request), b"", client=client)
        if route.takes is None:
            return call
        check_media_type(request.headers, route)
        body = await read_body(request, most_bytes=self._most_bytes, hold=reservation.hold)
        if route.takes != "application/json":
            model = await asyncio.to_thread(read_form_model, body, request.headers["content-type"])
            return replace(call, body=body, model=_shown(model))
        wanted = peek(body) if len(body) < _LARGE_BYTES else await asyncio.to_thread(peek, body)
        model = wanted.model or self._default_name
        streams = route.streams_by_default if wanted.streams is None else wanted.streams
        return replace(call, body=body, streams=streams, model=_shown(model), asked=wanted.model)


def _shown(model: str | None) -> str | None:
    return printable(model[:_MOST_NAME]) if model else None


def _default_name(state: State) -> str | None:
    """Name the default model as a start chose it: what is shown of requests that name none."""
    configured = state.settings.model.path
    if configured is None:
        return state.default_model
    return PurePath(configured).name if configured.startswith(("/", "~")) else configured


def _headers(request: Request) -> dict[str, str]:
    return {
        name.decode(): value.decode("latin-1")
        for name, value in reversed(request.scope["headers"])  # of a header given twice, the first
        if name in _PASSED_ON
    }


def _target(request: Request) -> str:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")

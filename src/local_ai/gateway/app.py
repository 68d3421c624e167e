"""The gateway's application: its routes, its access checks, and its last error handler."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from local_ai.gateway.access.middleware import AccessMiddleware
from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.api import forward_routes
from local_ai.gateway.endpoints.other_addresses import OtherAddresses, asked_path, base_routes
from local_ai.gateway.forwarding.routes import OTHER_ADDRESSES, OWN_OLLAMA, ROUTES, nearest_path
from local_ai.gateway.reload import watch_settings
from local_ai.gateway.upstream.cached import Cached
from local_ai.gateway.upstream.crash_loop import stop_flapping
from local_ai.gateway.upstream.liveness import watch_liveness
from local_ai.gateway.web.assets import asset_routes, page_style_source
from local_ai.gateway.web.page import page_routes
from local_ai.gateway.web.preferences import preference_routes
from local_ai.serving.dialects import Dialect, dialect_of, error_response, refused_response
from local_ai.serving.errors import ApiError
from local_ai.serving.request_id import RequestIds

_LOG = logging.getLogger("local_ai.gateway")
_FIRST_REQUESTS_S = 0.05  # in which requests that came during the imports are answered, undisturbed


def make_app(context: GatewayContext) -> ASGIApp:
    """Put the application together."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        work = (
            _warm_up(context, own),
            stop_flapping(context.state),
            watch_liveness(context.state, context.watch),
            watch_settings(context),
            _end_downloads(context),
        )
        tasks = [asyncio.create_task(each) for each in work]
        context.peers.take(context.state.settings)
        yield
        for task in tasks:
            task.cancel()
        await context.downloads.close()
        await context.peers.close()
        await context.forwarding.upstream.close()

    server = context.state.settings.server
    own = _Own(context)
    app = Starlette(
        routes=[
            *forward_routes(context),
            *base_routes(),
            *page_routes(context),
            *preference_routes(),
            *asset_routes(),
        ],
        middleware=[
            *_cors(server.allowed_origins),
            Middleware(
                AccessMiddleware,
                bound=server.host,
                allowed=server.allowed_hosts,
                style_source=page_style_source(),
                origins=server.allowed_origins,
                keys=lambda: [key.get_secret_value() for key in context.state.settings.server.api_keys],
            ),
        ],
        exception_handlers=_handlers(),
        lifespan=lifespan,
    )
    # An address with a slash too many is refused in words like any other.
    app.router.redirect_slashes = False
    app.router.default = own
    # RequestIds is outside all routes, so that the last resort for errors has an id too. OtherAddresses is
    # outside that, so that all the rest sees our own addresses alone.
    return OtherAddresses(RequestIds(app))


class _Own:
    """The FastAPI application of our own endpoints, made on its first use: importing it takes 0.3 s."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context
        self._app = Cached(self._make, max_age_s=math.inf)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; HEAD like GET, whose body the server leaves out."""
        app = await self._app.get()
        is_head = scope["method"] == "HEAD"
        await app({**scope, "method": "GET"} if is_head else scope, receive, send)

    async def load(self) -> None:
        """Make it before the first request needs it."""
        await self._app.get()

    async def _make(self) -> ASGIApp:
        def make() -> ASGIApp:
            from local_ai.gateway.endpoints.own_routes import make_own_app

            return make_own_app(self._context, _handlers())

        return await asyncio.to_thread(make)


def _handlers() -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    return {
        ApiError: _answer_refusal,
        HTTPException: _answer_http,
        ClientDisconnect: _answer_nobody,
        Exception: _answer_unexpected,
    }


class _Cors(CORSMiddleware):
    """Leaves requests of unlisted sites to the access checks, whose refusals give a reason and a fix."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a listed site's preflight, and let its pages read the answers."""
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None or self.is_allowed_origin(origin):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _cors(origins: Sequence[str]) -> list[Middleware]:
    """Tell browsers which other sites' pages may read our answers; also on refusals of the access checks."""
    if not origins:
        return []
    return [
        Middleware(
            _Cors,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "x-request-id", "request-id"],
        )
    ]


async def _warm_up(context: GatewayContext, own: _Own) -> None:
    """Do in advance what the first request of a kind would wait for."""
    await asyncio.sleep(_FIRST_REQUESTS_S)
    await context.watch.report()
    for prepare in (context.forwarding.upstream.load, context.forwarding.metrics.load):
        await asyncio.to_thread(prepare)
    await own.load()


async def _end_downloads(context: GatewayContext) -> None:
    """End the pulls when the server stops, and with them the answers that follow one."""
    await context.forwarding.shutdown.stopping.wait()
    await context.downloads.close()


async def _answer_refusal(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ApiError)
    return refused_response(request.url.path, exc)


async def _answer_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    path = request.url.path
    exc = _as_wrong_method(path, exc)
    near = nearest_path(path) if exc.status_code == 404 else None
    # In the dialect that was meant, so that the client's SDK shows the words.
    refusal = _refusal_for(request, exc, near)
    meant = OTHER_ADDRESSES.get(near, near) if near else path
    if dialect_of(meant) is None and _is_for_programs(request):
        response = error_response(Dialect.OPENAI, refusal)
    else:
        response = refused_response(meant, refusal)
    response.headers.update(exc.headers or {})
    return response


def _is_for_programs(request: Request) -> bool:
    """Tell a client of the page's data, which reads JSON, from a person at an address of the page."""
    types = f"{request.headers.get('content-type', '')} {request.headers.get('accept', '')}"
    return request.url.path.endswith(".json") or "application/json" in types


def _as_wrong_method(path: str, exc: HTTPException) -> HTTPException:
    """A forwarded path that takes other methods is not unknown."""
    methods = {route.method for route in ROUTES if compile_path(route.path)[0].match(path)}
    if exc.status_code != 404 or not methods:
        return exc
    return HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})


def _refusal_for(request: Request, exc: HTTPException, near: str | None) -> ApiError:
    path = request.url.path
    if exc.status_code == 405:
        allowed = (exc.headers or {}).get("Allow", "POST")
        why, fix = f"{asked_path(request)} does not take {request.method}", f"use {allowed}"
        return ApiError("wrong method", status=405, why=why, fix=fix, code="method_not_allowed")
    asked = dialect_of(path)
    forwarded = [route.path for route in ROUTES if asked and route.dialect.family == asked.family]
    served = dict.fromkeys((*forwarded, *(OWN_OLLAMA if asked is Dialect.OLLAMA else ())))
    fix = "use one of: " + ", ".join(served) if served else "open the page at /"
    return ApiError(
        "nothing is served at this address",
        status=exc.status_code,
        why=f"{path} is not one of this server's paths",
        fix=f"use {near} (is the client's base address right?)" if near else fix,
        code="unknown_path",
    )


async def _answer_nobody(_request: Request, _exc: Exception) -> Response:
    # Left while its body was on the way; the status is nginx's for that, and no client sees it.
    return Response(status_code=499)


async def _answer_unexpected(request: Request, exc: Exception) -> Response:
    # The traceback is in the log (uvicorn writes it); a client gets words.
    refusal = ApiError(
        "the gateway failed on this request",
        status=500,
        why="it is a mistake in local-ai itself",
        fix="report it with the last lines of",
        command="local-ai server logs --program welcome-page",
        code="internal_error",
    )
    return await _answer_refusal(request, refusal)

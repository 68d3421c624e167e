"""The engine's application: health, both dialects, and what comes from MLX Omni Server."""

from __future__ import annotations

import asyncio
import dataclasses

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.anthropic.response import error_body as anthropic_error
from local_ai.engine.anthropic.routes import anthropic_routes, in_anthropic_errors
from local_ai.engine.core.worker import Worker
from local_ai.engine.embeddings import Embedder, embedding_body, read_embedding_request
from local_ai.engine.endpoints import Endpoint
from local_ai.engine.errors import EngineError
from local_ai.engine.health import HealthBoard
from local_ai.engine.http import json_response, read_body, unless_gone
from local_ai.engine.modalities import (
    ANTHROPIC_TEXT,
    IMAGES,
    OPENAI_TEXT,
    SPEECH,
    TRANSCRIPTION,
    OmniRouters,
    Resolve,
)
from local_ai.engine.openai.response import error_body as openai_error
from local_ai.engine.openai.routes import in_openai_errors, openai_routes
from local_ai.engine.responses.routes import responses_routes
from local_ai.engine.responses.store import ResponseStore
from local_ai.engine.service import Service

_LONGEST_WAIT_S = 10.0  # of who asks for health once it has changed


def make_app(
    service: Service,
    worker: Worker,
    board: HealthBoard,
    embedder: Embedder,
    responses: ResponseStore,
    omni: OmniRouters,
    *,
    omni_text: bool = False,
) -> Starlette:
    """Put the application together; nothing is imported or loaded by it.

    Args:
        omni_text: Let MLX Omni Server's own routers generate text, for comparison.
    """

    async def health(request: Request) -> Response:
        if state := request.query_params.get("unlike"):
            await board.leaves(state, within_s=_seconds(request.query_params.get("within_s", "")))
        return json_response(dataclasses.asdict(board.read()))

    async def unload(request: Request) -> Response:
        """Not part of either API: for whoever owns the socket, and not forwarded by the gateway."""
        done = asyncio.wrap_future(worker.unload())
        return json_response(dataclasses.asdict(await unless_gone(request, done)))

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/unload", in_openai_errors(unload), methods=["POST"]),
            *(_omni_text_routes(omni, service) if omni_text else ()),
            Route("/v1/embeddings", in_openai_errors(_embeddings(embedder)), methods=["POST"]),
            _omni_route(omni, service.folder_of, SPEECH, "/v1/audio/speech"),
            _omni_route(omni, service.folder_of, TRANSCRIPTION, "/v1/audio/transcriptions"),
            _omni_route(omni, service.folder_of, IMAGES, "/v1/images/generations"),
            *responses_routes(service, responses),
            *openai_routes(service),
            *anthropic_routes(service),
        ],
        exception_handlers={404: _no_such_route, 405: _wrong_method},
    )


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 0.0), _LONGEST_WAIT_S)
    except ValueError:
        return 0.0


def _embeddings(embedder: Embedder) -> Endpoint:
    async def embeddings(request: Request) -> Response:
        wanted = read_embedding_request(await read_body(request))
        return json_response(embedding_body(await embedder.embed(wanted), wanted))

    return embeddings


def _omni_text_routes(omni: OmniRouters, service: Service) -> list[Route]:
    """Omni's text path, ahead of ours."""

    def folder(name: str) -> str:
        return str(service.resolve(name or None).path)

    return [
        _omni_route(omni, folder, OPENAI_TEXT, "/v1/chat/completions"),
        _omni_route(omni, folder, ANTHROPIC_TEXT, "/anthropic/v1/messages", path="/v1/messages"),
    ]


def _omni_route(
    omni: OmniRouters, resolve: Resolve, module: str, at: str, *, path: str | None = None
) -> Route:
    async def endpoint(request: Request) -> Response:
        return await omni.call(module, request, path=path or at, resolve=resolve)

    guard = in_anthropic_errors if at.startswith("/anthropic") else in_openai_errors
    return Route(at, guard(endpoint), methods=["POST"])


async def _no_such_route(request: Request, _exc: Exception) -> Response:
    return _in_dialect(
        request,
        EngineError(
            f"{request.url.path[:200]} is not answered here",
            why="no such path",
            fix="see docs/api.md for the paths there are",
            status=404,
            code="not_found",
        ),
    )


async def _wrong_method(request: Request, _exc: Exception) -> Response:
    return _in_dialect(
        request,
        EngineError(
            f"{request.method} is not answered here",
            why=f"{request.url.path[:200]} knows other methods",
            fix="use POST to generate and GET to list",
            status=405,
            code="method_not_allowed",
        ),
    )


def _in_dialect(request: Request, error: EngineError) -> Response:
    write = anthropic_error if request.url.path.startswith("/anthropic") else openai_error
    return json_response(write(error), error.status)

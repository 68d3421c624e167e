"""The engine's application: health, both dialects, and what comes from MLX Omni Server."""

from __future__ import annotations

import dataclasses

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.anthropic.response import error_body as anthropic_error
from local_ai.engine.anthropic.routes import anthropic_routes
from local_ai.engine.errors import EngineError
from local_ai.engine.health import HealthBoard
from local_ai.engine.http import json_response
from local_ai.engine.openai.response import error_body as openai_error
from local_ai.engine.openai.routes import openai_routes
from local_ai.engine.service import Service


def make_app(service: Service, board: HealthBoard) -> Starlette:
    """Put the application together; nothing is imported or loaded by it."""

    async def health(_request: Request) -> Response:
        return json_response(dataclasses.asdict(board.read()))

    return Starlette(
        routes=[
            Route("/health", health),
            *openai_routes(service),
            *anthropic_routes(service),
        ],
        exception_handlers={404: _no_such_route, 405: _wrong_method},
    )


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

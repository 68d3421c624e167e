"""Of Ollama's API, `/api/pull`: a pull of ours, told in Ollama's words.

Source: https://docs.ollama.com/api/pull
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from local_ai.gateway.context import GatewayContext
from local_ai.gateway.downloads.download import Download
from local_ai.gateway.endpoints.actions import Body, read_fields
from local_ai.gateway.endpoints.query import refusals
from local_ai.gateway.endpoints.schemas import OllamaStatus
from local_ai.gateway.forwarding.request_body import check_media_type
from local_ai.gateway.forwarding.routes import Route
from local_ai.serving.dialects import Dialect, error_body
from local_ai.serving.errors import ApiError
from local_ai.serving.framing import LINES, line
from local_ai.settings.model_names import LATEST

_ROUTE = Route("/api/pull", Dialect.OLLAMA)
_MANIFEST, _SUCCESS = {"status": "pulling manifest"}, {"status": "success"}


class OllamaPullBody(Body):
    """A model on the configured hub."""

    model: str = Field("", max_length=300)  # ORG/NAME, or the address of its page
    name: str = Field("", max_length=300)  # the older name of `model`
    stream: bool = True
    insecure: Literal[False] = False

    @model_validator(mode="after")
    def _is_named(self) -> OllamaPullBody:
        if not self.wanted:
            raise ValueError("it must name a model")
        return self

    @property
    def wanted(self) -> str:
        """The model's name, without the tag that Ollama's clients add."""
        return (self.model or self.name).strip().removesuffix(LATEST)


def ollama_pull_router(context: GatewayContext) -> APIRouter:
    """Answer `/api/pull`."""
    router = APIRouter(responses=refusals(401, 403))
    describes = {"application/json": {"schema": OllamaPullBody.model_json_schema()}}
    cancelling: set[asyncio.Task[Download]] = set()  # a task that nothing refers to may vanish

    async def statuses(name: str) -> AsyncIterator[dict[str, Any]]:
        """Yield what Ollama would say; a client that leaves ends a pull that it began, as there."""
        running = {each.id for each in context.downloads.all() if not each.has_ended}
        pull = context.downloads.start(name)
        is_own, has_ended = pull.id not in running, False
        try:
            yield _MANIFEST
            async for now in context.downloads.follow(pull.id):
                has_ended = now.has_ended
                for status in _told(now):
                    yield status
        finally:
            if is_own and not has_ended:
                task = asyncio.ensure_future(context.downloads.cancel(pull.id))
                cancelling.add(task)
                task.add_done_callback(cancelling.discard)

    @router.post(
        "/api/pull",
        response_model=OllamaStatus,
        responses=refusals(400, 413, 415, 429, 502, 503) | {200: {"content": {LINES.media_type: {}}}},
        openapi_extra={"requestBody": {"required": True, "content": describes}},
    )
    async def pull(request: Request) -> Response:
        """Download a model as Ollama does: lines that say how far it is, or with `stream` false the last."""
        check_media_type(request.headers, _ROUTE)
        body = await read_fields(request, OllamaPullBody, is_json=True)
        is_here = "/" not in body.wanted and await _is_here(context, body.wanted)
        told = _each(_MANIFEST, _SUCCESS) if is_here else statuses(body.wanted)
        first = await anext(told)  # what is refused at once is an answer of its own
        if body.stream:
            return LINES.response(_lines(first, told))
        last = [status async for status in told][-1]
        return JSONResponse(last, status_code=502 if "error" in last else 200)

    return router


async def _is_here(context: GatewayContext, name: str) -> bool:
    """Tell whether a name that the hub cannot have is one of a model here, or an alias."""
    try:
        await context.model_named(name)
    except ApiError:
        return False
    return True


def _told(now: Download) -> list[dict[str, Any]]:
    """Say in Ollama's words how a pull is."""
    if now.state == "asking":
        return []
    if now.state in {"failed", "cancelled"}:
        return [error_body(Dialect.OLLAMA, _problem(now))]
    progress = {
        "status": f"pulling {(now.commit or '')[:12]}",
        "digest": now.commit,
        "total": now.total_bytes,
        "completed": now.done_bytes,
    }
    checked = ({"status": "verifying sha256 digest"}, {"status": "writing manifest"}, _SUCCESS)
    return [progress, *(checked if now.state == "done" else ())]


def _problem(now: Download) -> ApiError:
    if now.error is None:
        return ApiError("the model was not downloaded", why="the download was cancelled", status=502)
    return ApiError(now.error.what, why=now.error.why, fix=now.error.fix, status=502)


async def _each(*statuses: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for status in statuses:
        yield status


async def _lines(first: dict[str, Any], rest: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    yield line(first)
    async for status in rest:
        yield line(status)

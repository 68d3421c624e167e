"""Ollama's endpoints that need the engine; the gateway answers the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api import endpoints
from local_ai.engine.api.endpoints import in_dialect, stream_failure
from local_ai.engine.api.ollama.request import (
    OllamaEmbeddingsRequest,
    OllamaEmbedRequest,
    OllamaRequest,
    read_chat,
    read_generate,
    read_shown,
)
from local_ai.engine.api.ollama.response import AnswerBuilder, Json, embed_body
from local_ai.engine.api.ollama.show import describe
from local_ai.engine.api.problems import read_model
from local_ai.engine.api.requests import json_response, read_body, unless_gone
from local_ai.engine.api.responses.truncate import open_with_fewer_turns
from local_ai.engine.embeddings import Embedder
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask
from local_ai.engine.text.prompts import FieldNames
from local_ai.engine.text.service import Opened, Service
from local_ai.serving.dialects import Dialect, error_event
from local_ai.serving.framing import LINES, line
from local_ai.serving.sse import close

GRACE_S = 2.0  # an error known by then has its own HTTP status; later ones end the stream
_in_errors = in_dialect(Dialect.OLLAMA)


def ollama_routes(service: Service, embedder: Embedder) -> list[Route]:
    """Make the routes of this dialect."""

    async def chat(request: Request) -> Response:
        wanted = await read_body(request, partial(read_chat, defaults=service.defaults))
        return await _answer(service, request, wanted, is_chat=True)

    async def generate(request: Request) -> Response:
        wanted = await read_body(request, partial(read_generate, defaults=service.defaults))
        return await _answer(service, request, wanted, is_chat=False)

    async def embed(request: Request) -> Response:
        began = time.perf_counter_ns()
        body = await read_body(request, partial(read_model, model=OllamaEmbedRequest))
        embedded = await embedder.embed(body.texts())
        service.keep(body.model, body.keep_alive)
        return json_response(embed_body(body.model, embedded, began))

    async def embeddings(request: Request) -> Response:
        body = await read_body(request, partial(read_model, model=OllamaEmbeddingsRequest))
        embedded = await embedder.embed(body.texts())
        service.keep(body.model, body.keep_alive)
        return json_response({"embedding": list(embedded.vectors[0])})

    async def show(request: Request) -> Response:
        model = service.find(await read_body(request, read_shown))
        return json_response(await asyncio.to_thread(describe, model))

    routes = {"chat": chat, "generate": generate, "embed": embed, "embeddings": embeddings, "show": show}
    return [
        Route(f"/api/{name}", _in_errors(endpoint), methods=["POST"]) for name, endpoint in routes.items()
    ]


async def _answer(service: Service, request: Request, wanted: OllamaRequest, *, is_chat: bool) -> Response:
    builder = AnswerBuilder(wanted.model, is_chat, time.perf_counter_ns())
    if wanted.ask is None:
        return json_response(await unless_gone(request, _load(service, wanted, builder)))
    opening = asyncio.ensure_future(_open(service, wanted, wanted.ask, is_chat=is_chat))
    whole = None if wanted.stream else partial(_whole, service, wanted, opening, builder)
    events = partial(_events, service, wanted, opening, builder)
    return await endpoints.answer(
        request, opening, whole=whole, events=events, grace_s=GRACE_S, framing=LINES
    )


async def _load(service: Service, wanted: OllamaRequest, builder: AnswerBuilder) -> Json:
    """Do what a request asks for that says nothing: have its model in memory, or no longer."""
    if wanted.keep_alive_s == 0:
        await service.unload(wanted.model)
        return builder.empty("unload")
    await service.load(wanted.model)
    service.keep(wanted.model, wanted.keep_alive_s)
    return builder.empty("load")


async def _open(service: Service, wanted: OllamaRequest, ask: Ask, *, is_chat: bool) -> Opened:
    names = FieldNames(messages="messages" if is_chat else "prompt", schema="format")

    async def attempt(ask: Ask) -> Opened:
        return await service.open(ask, wanted.model, None, names)

    opened = await (open_with_fewer_turns(ask, attempt) if wanted.cuts_history and is_chat else attempt(ask))
    form = opened.words.format
    if ask.thinking.wanted and not (form.thought or form.channels):
        opened.lease.end()  # the error's traceback would hold it
        why = f"the model {wanted.model!r} does not support thinking"
        raise bad_field("think", why, "leave it out, or take a model that can")
    return opened


async def _whole(
    service: Service, wanted: OllamaRequest, opening: asyncio.Future[Opened], builder: AnswerBuilder
) -> Json:
    lines = _lines(service, wanted, opening, builder)
    try:
        async for _ in lines:
            pass
    finally:
        opening.cancel()
        await close(lines)
    return builder.whole()


async def _events(
    service: Service, wanted: OllamaRequest, opening: asyncio.Future[Opened], builder: AnswerBuilder
) -> AsyncIterator[bytes]:
    """Lines of JSON; the last says why it ended, or what failed."""
    lines = _lines(service, wanted, opening, builder)
    try:
        async for each in lines:
            yield line(each)
    except Exception as exc:
        yield error_event(Dialect.OLLAMA, stream_failure(exc), source="engine")
    finally:
        opening.cancel()
        await close(lines)


async def _lines(
    service: Service, wanted: OllamaRequest, opening: asyncio.Future[Opened], builder: AnswerBuilder
) -> AsyncIterator[Json]:
    opened = await opening
    builder.words, builder.with_logprobs = opened.words, opened.ask.logprobs is not None
    pieces = service.run(opened)
    try:
        async for piece in pieces:
            if each := builder.add(piece):
                yield each
    finally:
        await close(pieces)
        service.keep(wanted.model, wanted.keep_alive_s)

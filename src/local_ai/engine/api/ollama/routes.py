"""Ollama's endpoints that need the engine; the gateway answers the others."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api import endpoints
from local_ai.engine.api.body import Understood
from local_ai.engine.api.endpoints import Endpoint
from local_ai.engine.api.ollama.request import (
    OllamaBody,
    OllamaChatRequest,
    OllamaEmbeddingsRequest,
    OllamaEmbedRequest,
    OllamaGenerateRequest,
    read_shown,
)
from local_ai.engine.api.ollama.response import AnswerBuilder, Json, embed_body, show_body
from local_ai.engine.api.problems import read_model, understand
from local_ai.engine.api.requests import json_response, read_body, unless_gone
from local_ai.engine.api.responses.truncate import open_with_fewer_turns
from local_ai.engine.embeddings import Embedded, Embedder
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask
from local_ai.engine.text.prompts import FieldNames
from local_ai.engine.text.service import Opened, Service
from local_ai.serving.dialects import Dialect
from local_ai.serving.framing import line
from local_ai.serving.sse import close


def ollama_routes(service: Service, embedder: Embedder) -> list[Route]:
    """Make the routes of this dialect."""

    def generating(model: type[OllamaBody]) -> Endpoint:
        async def generate(request: Request) -> Response:
            read = partial(understand, model=model, defaults=service.defaults)
            return await _answer(service, request, await read_body(request, read))

        return generate

    async def embed_and_keep(body: OllamaEmbedRequest | OllamaEmbeddingsRequest) -> Embedded:
        if body.keep_alive != 0:  # what an earlier request said could unload it at this one's end
            service.keep(body.model, body.keep_alive)
        embedded = await embedder.embed(body.texts())
        service.keep(body.model, body.keep_alive)
        return embedded

    async def embed(request: Request) -> Response:
        began = time.perf_counter_ns()
        body = await read_body(request, partial(read_model, model=OllamaEmbedRequest))
        embedded = await embed_and_keep(body)
        return json_response(embed_body(body.model, embedded, began))

    async def embeddings(request: Request) -> Response:
        body = await read_body(request, partial(read_model, model=OllamaEmbeddingsRequest))
        embedded = await embed_and_keep(body)
        return json_response({"embedding": list(embedded.vectors[0])})

    async def show(request: Request) -> Response:
        model = service.find(await read_body(request, read_shown))
        return json_response(await asyncio.to_thread(show_body, model))

    routes = {
        "chat": generating(OllamaChatRequest),
        "generate": generating(OllamaGenerateRequest),
        "embed": embed,
        "embeddings": embeddings,
        "show": show,
    }
    return [Route(f"/api/{name}", endpoint, methods=["POST"]) for name, endpoint in routes.items()]


async def _answer(service: Service, request: Request, wanted: Understood[OllamaBody]) -> Response:
    body, is_chat = wanted.body, isinstance(wanted.body, OllamaChatRequest)
    builder = AnswerBuilder(body.model, is_chat, time.perf_counter_ns())
    if not wanted.asks:
        return json_response(await unless_gone(request, _load(service, body, builder)))
    opening = asyncio.ensure_future(_open(service, body, wanted.ask, is_chat=is_chat))
    return await endpoints.answer(
        request,
        Dialect.OLLAMA,
        opening,
        _lines(service, body, opening, builder),
        whole=builder.whole if body.stream is False else None,
        write=lambda lines: b"".join(map(line, lines)),
    )


async def _load(service: Service, body: OllamaBody, builder: AnswerBuilder) -> Json:
    """Do what a request asks for that says nothing: have its model in memory, or no longer."""
    if body.keep_alive == 0:
        await service.unload(body.model)
        return builder.empty("unload")
    await service.load(body.model)
    service.keep(body.model, body.keep_alive)
    return builder.empty("load")


async def _open(service: Service, body: OllamaBody, ask: Ask, *, is_chat: bool) -> Opened:
    names = FieldNames(messages="messages" if is_chat else "prompt", schema="format")

    async def attempt(ask: Ask) -> Opened:
        return await service.open(ask, body.model, None, names)

    cuts_history = is_chat and body.truncate is not False
    opened = await (open_with_fewer_turns(ask, attempt) if cuts_history else attempt(ask))
    form = opened.words.format
    if ask.thinking.wanted and not (form.thought or form.channels):
        opened.lease.end()  # the error's traceback would hold it
        why = f"the model {body.model!r} does not support thinking"
        raise bad_field("think", why, "leave it out, or take a model that can")
    return opened


async def _lines(
    service: Service, body: OllamaBody, opening: asyncio.Future[Opened], builder: AnswerBuilder
) -> AsyncIterator[Json]:
    opened = await opening
    builder.words, builder.with_logprobs = opened.words, opened.ask.logprobs is not None
    pieces = service.run(opened)
    try:
        # Not afterwards: what an earlier request said could unload the model as soon as this one ends.
        service.keep(body.model, body.keep_alive)
        async for piece in pieces:
            if each := builder.add(piece):
                yield each
    finally:
        await close(pieces)

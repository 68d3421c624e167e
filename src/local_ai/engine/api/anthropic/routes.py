"""Anthropic's endpoints."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api import endpoints
from local_ai.engine.api.anthropic.request import MessagesRequest
from local_ai.engine.api.anthropic.response import Json, MessageBuilder
from local_ai.engine.api.body import Understood
from local_ai.engine.api.problems import understand
from local_ai.engine.api.requests import json_response, read_body, unless_gone
from local_ai.engine.text.conversation import Begun, Reading
from local_ai.engine.text.prompts import FieldNames
from local_ai.engine.text.service import Opened, Service
from local_ai.serving.dialects import Dialect
from local_ai.serving.sse import HOLE, EventTemplate, close, event

_NAMES = FieldNames(schema="output_config.format")


def anthropic_routes(service: Service) -> list[Route]:
    """Make the routes of this dialect."""
    read = partial(understand, model=MessagesRequest, defaults=service.defaults)

    async def messages(request: Request) -> Response:
        return await _answer(service, request, await read_body(request, read))

    async def count_tokens(request: Request) -> Response:
        wanted = await read_body(request, read)
        body = wanted.body
        counting = service.count_tokens(wanted.ask, body.model, body.adapters, _NAMES)
        return json_response({"input_tokens": await unless_gone(request, counting)})

    return [
        Route("/anthropic/v1/messages", messages, methods=["POST"]),
        Route("/anthropic/v1/messages/count_tokens", count_tokens, methods=["POST"]),
    ]


async def _answer(service: Service, request: Request, wanted: Understood[MessagesRequest]) -> Response:
    body = wanted.body
    opening = asyncio.ensure_future(service.open(wanted.ask, body.model, body.adapters, _NAMES))
    message = MessageBuilder(shows_thoughts=bool(body.thinking and wanted.ask.thinking.wanted))
    writer = _EventWriter()
    return await endpoints.answer(
        request,
        Dialect.ANTHROPIC,
        opening,
        _events(service, opening, message),
        whole=None if body.stream else message.whole,
        write=lambda events: b"".join(map(writer.write, events or [{"type": "ping"}])),
    )


class _EventWriter:
    """Writes one message's events; a block's deltas of text differ in nothing else."""

    def __init__(self) -> None:
        self._block: tuple[Any, ...] = ()
        self._template = EventTemplate(HOLE)

    def write(self, each: Json) -> bytes:
        """Write an event."""
        delta = each.get("delta", {})
        key = next((key for key in ("text", "thinking") if key in delta), None)
        if key is None:
            return event(each, name=each["type"])
        if self._block != (each["index"], key):
            self._block = each["index"], key
            self._template = EventTemplate(each | {"delta": delta | {key: HOLE}}, name=each["type"])
        return self._template.write(delta[key])


async def _events(
    service: Service, opening: asyncio.Future[Opened], message: MessageBuilder
) -> AsyncIterator[Json]:
    opened = await opening
    message.model = opened.name
    pieces = service.run(opened)
    held: list[Json] = []
    try:
        async for piece in pieces:
            held += message.add(piece)
            # Nothing is said before there is something to say: until then the request can be sent again,
            # should this process end.
            if not isinstance(piece, Begun | Reading):
                for each in held:
                    yield each
                held = []
    finally:
        await close(pieces)

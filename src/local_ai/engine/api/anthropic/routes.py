"""Anthropic's endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api import endpoints
from local_ai.engine.api.anthropic.request import AnthropicRequest, read_request
from local_ai.engine.api.anthropic.response import Json, MessageBuilder
from local_ai.engine.api.endpoints import QUIET_S, in_dialect, stream_failure
from local_ai.engine.api.requests import json_response, read_body, unless_gone
from local_ai.engine.text.conversation import Begun, Reading
from local_ai.engine.text.prompts import FieldNames
from local_ai.engine.text.service import Opened, Service
from local_ai.serving.dialects import Dialect, error_event
from local_ai.serving.sse import HOLE, EventTemplate, batches, close, event

GRACE_S = 2.0  # an error known by then has its own HTTP status; later ones end the stream
in_anthropic_errors = in_dialect(Dialect.ANTHROPIC)
_NAMES = FieldNames(schema="output_config.format")


def anthropic_routes(service: Service) -> list[Route]:
    """Make the routes of this dialect."""

    async def messages(request: Request) -> Response:
        wanted = await read_body(request, partial(read_request, defaults=service.defaults))
        return await _answer(service, request, wanted)

    async def count_tokens(request: Request) -> Response:
        wanted = await read_body(request, partial(read_request, defaults=service.defaults, counting=True))
        counting = service.count_tokens(wanted.ask, wanted.model, wanted.adapter, _NAMES)
        return json_response({"input_tokens": await unless_gone(request, counting)})

    return [
        Route("/anthropic/v1/messages", in_anthropic_errors(messages), methods=["POST"]),
        Route("/anthropic/v1/messages/count_tokens", in_anthropic_errors(count_tokens), methods=["POST"]),
    ]


async def _answer(service: Service, request: Request, wanted: AnthropicRequest) -> Response:
    opening = asyncio.ensure_future(_open(service, wanted))
    whole = None if wanted.stream else partial(_whole, service, wanted, opening)
    events = partial(_events, service, wanted, opening)
    return await endpoints.answer(request, opening, whole=whole, events=events, grace_s=GRACE_S)


async def _open(service: Service, wanted: AnthropicRequest) -> Opened:
    return await service.open(wanted.ask, wanted.model, wanted.adapter, _NAMES)


async def _whole(service: Service, wanted: AnthropicRequest, opening: asyncio.Future[Opened]) -> Json:
    try:
        opened = await opening
    finally:
        opening.cancel()
    message = MessageBuilder(opened.name, wanted.shows_thoughts)
    pieces = service.run(opened)
    try:
        async for piece in pieces:
            message.add(piece)
    finally:
        await close(pieces)
    return message.whole()


async def _events(
    service: Service, wanted: AnthropicRequest, opening: asyncio.Future[Opened]
) -> AsyncIterator[bytes]:
    """Server-sent events; pings while there is nothing to say, an error event if it fails."""
    events = batches(_message_events(service, wanted, opening), every_s=QUIET_S)
    writer = _EventWriter()
    try:
        async for together in events:
            yield b"".join(map(writer.write, together or [{"type": "ping"}]))
    except Exception as exc:
        yield error_event(Dialect.ANTHROPIC, stream_failure(exc), source="engine")
    finally:
        opening.cancel()
        await close(events)


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


async def _message_events(
    service: Service, wanted: AnthropicRequest, opening: asyncio.Future[Opened]
) -> AsyncIterator[Json]:
    opened = await opening
    message = MessageBuilder(opened.name, wanted.shows_thoughts)
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

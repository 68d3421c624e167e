"""Anthropic's endpoints."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api import endpoints
from local_ai.engine.api.anthropic.request import AnthropicRequest, read_request
from local_ai.engine.api.anthropic.response import Json, MessageBuilder, error_body
from local_ai.engine.api.endpoints import in_dialect
from local_ai.engine.api.requests import (
    close,
    event,
    filled_fields,
    json_response,
    read_body,
    unless_gone,
    with_ticks,
)
from local_ai.engine.errors import EngineError, model_not_found, unexpected
from local_ai.engine.text.conversation import Begun, Reading
from local_ai.engine.text.prompts import FieldNames
from local_ai.engine.text.service import Opened, Service
from local_ai.models.catalog import Model, find_model, nearest_names

log = logging.getLogger(__name__)

GRACE_S = 2.0  # an error known by then has its own HTTP status; later ones end the stream
in_anthropic_errors = in_dialect(error_body)
_NAMES = FieldNames(schema="output_config.format")


def anthropic_routes(service: Service) -> list[Route]:
    """Make the routes of this dialect."""

    async def messages(request: Request) -> Response:
        wanted = read_request(await read_body(request), filled_fields(request))
        return await _answer(service, request, wanted)

    async def count_tokens(request: Request) -> Response:
        wanted = read_request(await read_body(request), filled_fields(request), counting=True)
        opened = await unless_gone(request, _open(service, wanted))
        return json_response({"input_tokens": len(opened.prepared.job.prompt)})

    async def models(_request: Request) -> Response:
        entries = [_model_body(model) for model in service.models()]
        first, last = (entries[0]["id"], entries[-1]["id"]) if entries else (None, None)
        return json_response({"data": entries, "has_more": False, "first_id": first, "last_id": last})

    async def model(request: Request) -> Response:
        name, known = request.path_params["name"], service.models()
        found = find_model(name, known)
        if found is None:
            raise model_not_found(name, nearest_names(name, known), any_models=bool(known))
        return json_response(_model_body(found))

    return [
        Route("/anthropic/v1/messages", in_anthropic_errors(messages), methods=["POST"]),
        Route("/anthropic/v1/messages/count_tokens", in_anthropic_errors(count_tokens), methods=["POST"]),
        Route("/anthropic/v1/models", in_anthropic_errors(models)),
        Route("/anthropic/v1/models/{name:path}", in_anthropic_errors(model)),
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
    events = with_ticks(_message_events(service, wanted, opening))
    try:
        async for each in events:
            each = each or {"type": "ping"}
            yield event(each, name=each["type"])
    except EngineError as exc:
        yield event(error_body(exc), name="error")
    except Exception as exc:
        log.exception("a stream failed")
        yield event(error_body(unexpected("the answer was cut off", exc)), name="error")
    finally:
        opening.cancel()
        await close(events)


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


def _model_body(model: Model) -> Json:
    created = datetime.fromtimestamp(model.created, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": model.id, "display_name": model.id, "created_at": created}

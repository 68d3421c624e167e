"""The endpoints of the Responses API."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from functools import partial

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api import endpoints
from local_ai.engine.api.openai.messages import join_leading_system
from local_ai.engine.api.requests import json_response, read_body, unless_gone
from local_ai.engine.api.responses.items import Json, join_turns, read_item
from local_ai.engine.api.responses.request import ResponsesRequest, echo, read_response_request
from local_ai.engine.api.responses.response import ResponseBuilder
from local_ai.engine.api.responses.store import ResponseStore
from local_ai.engine.api.responses.truncate import open_with_fewer_turns
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Message
from local_ai.engine.text.prompts import FieldNames
from local_ai.engine.text.service import Opened, Service
from local_ai.serving.dialects import Dialect
from local_ai.serving.errors import ApiError
from local_ai.serving.sse import HOLE, EventTemplate, close, event

NAMES = FieldNames(messages="input", schema="text.format")
_MOST_LISTED = 100


def responses_routes(service: Service, store: ResponseStore) -> list[Route]:
    """Make the routes of this dialect; they share the store."""
    read = partial(read_response_request, defaults=service.defaults, find_item=store.find_item)

    async def create(request: Request) -> Response:
        return await _Answer(service, store, await read_body(request, read)).give(request)

    async def count(request: Request) -> Response:
        wanted = await read_body(request, read)
        tokens = await unless_gone(request, _Answer(service, store, wanted).count())
        return json_response({"object": "response.input_tokens", "input_tokens": tokens})

    async def compact(_request: Request) -> Response:
        raise ApiError(
            "the conversation was not compacted",
            why="contexts are not compacted here",
            fix='send fewer items, or "truncation": "auto", which leaves out the oldest turns',
            code="not_supported",
        )

    async def retrieve(request: Request) -> Response:
        _read_query(request.query_params, ("include", "include[]", "include_obfuscation"))
        return json_response(store.get(request.path_params["id"]).body)

    async def delete(request: Request) -> Response:
        store.delete(request.path_params["id"])
        return json_response({"id": request.path_params["id"], "object": "response", "deleted": True})

    async def cancel(request: Request) -> Response:
        store.get(request.path_params["id"])
        raise ApiError(
            "the response was not cancelled",
            why="only responses that run in the background can be, and nothing runs there",
            fix="close the connection of one that is being generated: that ends it",
            code="not_cancellable",
        )

    async def input_items(request: Request) -> Response:
        return json_response(_page(store.get(request.path_params["id"]).items, request.query_params))

    return [
        Route("/v1/responses", create, methods=["POST"]),
        Route("/v1/responses/input_tokens", count, methods=["POST"]),
        Route("/v1/responses/compact", compact, methods=["POST"]),
        Route("/v1/responses/{id}", retrieve),
        Route("/v1/responses/{id}", delete, methods=["DELETE"]),
        Route("/v1/responses/{id}/cancel", cancel, methods=["POST"]),
        Route("/v1/responses/{id}/input_items", input_items),
    ]


class _Answer:
    """One response on its way."""

    def __init__(self, service: Service, store: ResponseStore, wanted: ResponsesRequest) -> None:
        self._service = service
        self._store = store
        self._body = body = wanted.body
        self._truncates = (
            body.truncation == "auto"
        )  # old turns may be left out where the context is too small
        previous = body.previous_response_id
        before = store.get(previous, param="previous_response_id").context if previous else ()
        self._items = (*before, *wanted.items)
        self._ask = dataclasses.replace(wanted.ask, messages=_messages(wanted, before))
        self._response = ResponseBuilder(
            model=body.model or service.resolve(None, body.adapters).id,
            echo=echo(body, wanted.ask),
            toolbox=wanted.toolbox,
            with_logprobs=wanted.ask.logprobs is not None,
        )

    async def give(self, request: Request) -> Response:
        """Answer whole, or as a stream."""
        opening = asyncio.ensure_future(self._open())
        writer, response = _EventWriter(), self._response
        return await endpoints.answer(
            request,
            Dialect.RESPONSES,
            opening,
            self._events(opening),
            whole=None if self._body.stream else response.whole,
            write=lambda events: b"".join(map(writer.write, events)) or b": still working\n\n",
            failed=lambda error: writer.write(response.fail(error)),
        )

    async def _open(self) -> Opened:
        async def attempt(ask: Ask) -> Opened:
            return await self._service.open(ask, self._body.model, self._body.adapters, NAMES)

        if self._truncates:
            return await open_with_fewer_turns(self._ask, attempt)
        return await attempt(self._ask)

    async def count(self) -> int:
        """Count the prompt's tokens; with `truncation: auto`, those of the turns that fit."""
        if self._truncates:
            limits = dataclasses.replace(self._ask.limits, is_default=True)  # no answer follows
            self._ask = dataclasses.replace(self._ask, limits=limits)
            return len((await self._open()).prepared.job.prompt)
        return await self._service.count_tokens(self._ask, self._body.model, self._body.adapters, NAMES)

    async def _events(self, opening: asyncio.Future[Opened]) -> AsyncIterator[Json]:
        for each in self._response.begin():
            yield each
        opened = await opening
        self._response.words = opened.words
        pieces = self._service.run(opened)
        try:
            async for piece in pieces:
                events = self._response.add(piece)
                if self._response.is_over and self._body.store is not False:
                    self._store.keep(self._response.whole(), self._items)
                for each in events:
                    yield each
        finally:
            await close(pieces)


class _EventWriter:
    """Writes one response's events; an item's deltas differ in number and text alone."""

    def __init__(self) -> None:
        self._item: tuple[str, str] | None = None
        self._template = EventTemplate(HOLE)

    def write(self, each: Json) -> bytes:
        """Write an event."""
        if not each["type"].endswith("_text.delta") or each.get("logprobs"):
            return event(each, name=each["type"])
        if self._item != (each["item_id"], each["type"]):
            self._item = each["item_id"], each["type"]
            self._template = EventTemplate(each | {"sequence_number": HOLE, "delta": HOLE}, name=each["type"])
        return self._template.write(each["sequence_number"], each["delta"])


def _messages(wanted: ResponsesRequest, before: tuple[Json, ...]) -> tuple[Message, ...]:
    """Write the whole conversation; instructions are this request's own, those before do not count."""
    messages = [read_item(item, "previous_response_id") for item in before]
    if wanted.body.instructions:
        messages.insert(0, Message("system", wanted.body.instructions))
    return join_leading_system(join_turns([*messages, *wanted.ask.messages]))


def _read_query(given: QueryParams, known: tuple[str, ...]) -> None:
    for name, value in given.items():
        if name == "stream" and value != "true":
            continue
        if name == "stream":
            raise bad_field("stream", "a finished response is not streamed again", "leave it out")
        if name not in known:
            raise bad_field(name[:80], "there is no such parameter here", "leave it out")


def _page(items: tuple[Json, ...], given: QueryParams) -> Json:
    """List items as the API does: the latest first, in pages."""
    _read_query(given, ("limit", "order", "after", "include", "include[]"))
    limit, order, after = given.get("limit", "20"), given.get("order", "desc"), given.get("after")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MOST_LISTED):
        raise bad_field("limit", f"it must be from 1 to {_MOST_LISTED}, got {limit[:40]!r}", "correct it")
    if order not in ("asc", "desc"):
        raise bad_field("order", f"it must be asc or desc, got {order[:40]!r}", "correct it")
    listed = list(items if order == "asc" else reversed(items))
    if after is not None:
        ids = [item["id"] for item in listed]
        if after not in ids:
            raise bad_field("after", f"no item is named {after[:100]!r}", "name one that was listed")
        listed = listed[ids.index(after) + 1 :]
    page = listed[: int(limit)]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    has_more = len(listed) > len(page)
    return {"object": "list", "data": page, "first_id": first, "last_id": last, "has_more": has_more}

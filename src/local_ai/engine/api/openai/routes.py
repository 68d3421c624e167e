"""OpenAI's endpoints."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api import endpoints
from local_ai.engine.api.endpoints import QUIET_S, in_dialect, stream_failure
from local_ai.engine.api.merge import merge
from local_ai.engine.api.openai.request import OpenAIRequest, read_chat, read_completion
from local_ai.engine.api.openai.response import (
    ChatChoice,
    Heading,
    Json,
    TextChoice,
    make_heading,
    usage_body,
)
from local_ai.engine.api.requests import read_body
from local_ai.engine.text.conversation import Ask, Piece, ReasoningPiece, TextPiece
from local_ai.engine.text.prompts import FieldNames
from local_ai.engine.text.service import Opened, Service
from local_ai.serving.dialects import Dialect, error_event
from local_ai.serving.sse import HOLE, EventTemplate, batches, close, event

GRACE_S = 2.0  # an error known by then has its own HTTP status; later ones end the stream
Choice = ChatChoice | TextChoice
in_openai_errors = in_dialect(Dialect.OPENAI)


def openai_routes(service: Service) -> list[Route]:
    """Make the routes of this dialect."""

    async def chat(request: Request) -> Response:
        wanted = await read_body(request, partial(read_chat, defaults=service.defaults))
        return await _answer(service, request, wanted, "chat.completion")

    async def completion(request: Request) -> Response:
        wanted = await read_body(request, partial(read_completion, defaults=service.defaults))
        return await _answer(service, request, wanted, "text_completion")

    return [
        Route("/v1/chat/completions", in_openai_errors(chat), methods=["POST"]),
        Route("/v1/completions", in_openai_errors(completion), methods=["POST"]),
    ]


async def _answer(service: Service, request: Request, wanted: OpenAIRequest, kind: str) -> Response:
    opening = asyncio.ensure_future(_open(service, wanted))
    answer = _Answer(service, wanted, opening, kind)
    whole = None if wanted.stream else answer.whole
    return await endpoints.answer(request, opening, whole=whole, events=answer.events, grace_s=GRACE_S)


async def _open(service: Service, wanted: OpenAIRequest) -> list[Opened]:
    """Prepare every choice of every prompt; with a seed, each choice has its own."""
    opened: list[Opened] = []
    try:
        for ask in wanted.asks:
            first = await service.open(ask, wanted.model, wanted.adapter, FieldNames(messages=_subject(ask)))
            opened += [_reseed(first, number) for number in range(wanted.choices)]
    except BaseException:
        for each in opened:
            each.lease.end()  # the error's traceback would hold it
        raise
    return opened


def _subject(ask: Ask) -> str:
    return "messages" if ask.prompt is None else "prompt"


def _reseed(opened: Opened, number: int) -> Opened:
    sampling = opened.prepared.job.sampling
    if not number or sampling.seed is None:
        return opened
    job = dataclasses.replace(
        opened.prepared.job, sampling=dataclasses.replace(sampling, seed=sampling.seed + number)
    )
    return dataclasses.replace(opened, prepared=dataclasses.replace(opened.prepared, job=job))


class _ChunkWriter:
    """Writes one answer's chunks as events."""

    def __init__(self, heading: Heading, *, with_usage: bool) -> None:
        self._heading = heading
        self._more: Json = {"usage": None} if with_usage else {}
        self._templates: dict[tuple[int, type[Piece]], EventTemplate] = {}

    def chunk(self, choice: Json) -> bytes:
        """Write a chunk of one choice."""
        return event(self._body(choice))

    def piece(self, choice: Choice, piece: Piece, chunk: Json) -> bytes:
        """Write the chunk that a piece makes; those of texts differ in nothing else."""
        if choice.with_logprobs or not isinstance(piece, TextPiece | ReasoningPiece):
            return self.chunk(chunk)
        key = choice.index, type(piece)
        if key not in self._templates:
            example = type(choice)(choice.index, choice.words, with_logprobs=False).add(type(piece)(HOLE))
            assert example
            self._templates[key] = EventTemplate(self._body(example))
        return self._templates[key].write(piece.text)

    def usage(self, usage: Json) -> bytes:
        """Write the chunk that tells of the whole answer's tokens."""
        return event(self._heading.body([], chunk=True) | {"usage": usage})

    def _body(self, choice: Json) -> Json:
        return self._heading.body([choice], chunk=True) | self._more


class _Answer:
    """All choices of one request."""

    def __init__(
        self,
        service: Service,
        wanted: OpenAIRequest,
        opening: asyncio.Future[list[Opened]],
        kind: str,
    ) -> None:
        self._service = service
        self._wanted = wanted
        self._opening = opening
        self._kind = kind
        self._choices: list[Choice] = []

    async def whole(self) -> Json:
        heading = await self._begin()
        async for number, piece in self._pieces():
            self._choices[number].add(piece)
        body = heading.body([choice.whole() for choice in self._choices])
        return body | {"usage": self._usage()}

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events; comments while there is nothing to say, an error event if it fails."""
        chunks = batches(self._chunks(), every_s=QUIET_S)
        try:
            async for together in chunks:
                yield b"".join(together) or b": still working\n\n"
        except Exception as exc:
            yield error_event(Dialect.OPENAI, stream_failure(exc), source="engine")
        finally:
            self._opening.cancel()
            await close(chunks)
        yield event("[DONE]")

    async def _chunks(self) -> AsyncIterator[bytes]:
        write = _ChunkWriter(await self._begin(), with_usage=self._wanted.include_usage)
        # Held back until there is something to say: a request that has said nothing can be sent again, should
        # this process end.
        heads = [first for choice in self._choices if (first := choice.begin())]
        pieces = self._pieces()
        try:
            async for number, piece in pieces:
                choice = self._choices[number]
                if chunk := choice.add(piece):
                    for each in heads:
                        yield write.chunk(each)
                    heads = []
                    yield write.piece(choice, piece, chunk)
        finally:
            await close(pieces)
        if self._wanted.include_usage:
            yield write.usage(self._usage())

    async def _begin(self) -> Heading:
        opened = await self._opening
        self._choices = [self._choice(number, each) for number, each in enumerate(opened)]
        return make_heading(self._kind, opened[0].name)

    def _choice(self, number: int, opened: Opened) -> Choice:
        with_logprobs = opened.ask.logprobs is not None
        if self._kind == "chat.completion":
            return ChatChoice(number, opened.words, with_logprobs, self._wanted.custom)
        prompt = opened.ask.prompt if self._wanted.echo else ""
        echoed = prompt if isinstance(prompt, str) else opened.words.decode(list(prompt or ()))
        return TextChoice(number, opened.words, with_logprobs, echoed)

    def _pieces(self) -> AsyncIterator[tuple[int, Piece]]:
        return merge([self._service.run(each) for each in self._opening.result()])

    def _usage(self) -> Json:
        usages = [choice.ended.usage for choice in self._choices if choice.ended]
        return usage_body(usages, len(self._choices) // self._wanted.choices)

"""OpenAI's endpoints."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api import endpoints
from local_ai.engine.api.body import Understood
from local_ai.engine.api.endpoints import Endpoint
from local_ai.engine.api.merge import merge
from local_ai.engine.api.openai.request import ChatRequest, CompletionRequest, OpenAIBody
from local_ai.engine.api.openai.response import ChatChoice, Json, TextChoice, make_heading, usage_body
from local_ai.engine.api.problems import understand
from local_ai.engine.api.requests import read_body
from local_ai.engine.text.conversation import Piece, ReasoningPiece, TextPiece
from local_ai.engine.text.prompts import FieldNames
from local_ai.engine.text.service import Opened, Service
from local_ai.serving.dialects import Dialect
from local_ai.serving.sse import HOLE, EventTemplate, close, event

Choice = ChatChoice | TextChoice


def openai_routes(service: Service) -> list[Route]:
    """Make the routes of this dialect."""

    def generating(model: type[OpenAIBody]) -> Endpoint:
        async def generate(request: Request) -> Response:
            read = partial(understand, model=model, defaults=service.defaults)
            return await _answer(service, request, await read_body(request, read))

        return generate

    return [
        Route("/v1/chat/completions", generating(ChatRequest), methods=["POST"]),
        Route("/v1/completions", generating(CompletionRequest), methods=["POST"]),
    ]


async def _answer(service: Service, request: Request, wanted: Understood[OpenAIBody]) -> Response:
    opening = asyncio.ensure_future(_open(service, wanted))
    answer = _Answer(service, wanted.body, opening)
    return await endpoints.answer(
        request,
        Dialect.OPENAI,
        opening,
        answer.chunks(),
        whole=None if wanted.body.stream else answer.whole,
        write=lambda chunks: b"".join(write() for write in chunks) or b": still working\n\n",
        last=event("[DONE]"),
    )


async def _open(service: Service, wanted: Understood[OpenAIBody]) -> list[Opened]:
    """Prepare every choice of every prompt; with a seed, each choice has its own."""
    body = wanted.body
    names = FieldNames(messages="messages" if isinstance(body, ChatRequest) else "prompt")
    opened: list[Opened] = []
    try:
        for ask in wanted.asks:
            first = await service.open(ask, body.model, body.adapters, names)
            opened += [_reseed(first, number) for number in range(body.choices)]
    except BaseException:
        for each in opened:
            each.lease.end()  # the error's traceback would hold it
        raise
    return opened


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

    def __init__(self, heading: Json, *, with_usage: bool) -> None:
        is_chat = heading["object"] == "chat.completion"
        self._heading = heading | ({"object": "chat.completion.chunk"} if is_chat else {})
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
        return event(self._heading | {"choices": [], "usage": usage})

    def _body(self, choice: Json) -> Json:
        return self._heading | {"choices": [choice]} | self._more


class _Answer:
    """All choices of one request."""

    def __init__(self, service: Service, body: OpenAIBody, opening: asyncio.Future[list[Opened]]) -> None:
        self._service = service
        self._body = body
        self._opening = opening
        self._choices: list[Choice] = []
        self._heading: Json = {}  # known once it is open

    async def chunks(self) -> AsyncIterator[Callable[[], bytes]]:
        """Generate all choices; what is given out writes a chunk."""
        opened = await self._opening
        self._choices = [self._choice(number, each) for number, each in enumerate(opened)]
        self._heading = make_heading(self._body.answer, opened[0].name)
        write = _ChunkWriter(self._heading, with_usage=self._body.includes_usage)
        # Held back until there is something to say: a request that has said nothing can be sent again, should
        # this process end.
        heads = [partial(write.chunk, first) for choice in self._choices if (first := choice.begin())]
        pieces = merge([self._service.run(each) for each in opened])
        try:
            async for number, piece in pieces:
                choice = self._choices[number]
                if chunk := choice.add(piece):
                    for head in heads:
                        yield head
                    heads = []
                    yield partial(write.piece, choice, piece, chunk)
        finally:
            await close(pieces)
        if self._body.includes_usage:
            yield partial(write.usage, self._usage())

    def whole(self) -> Json:
        """Write the whole answer."""
        choices = [choice.whole() for choice in self._choices]
        return self._heading | {"choices": choices, "usage": self._usage()}

    def _choice(self, number: int, opened: Opened) -> Choice:
        with_logprobs = opened.ask.logprobs is not None
        if isinstance(self._body, ChatRequest):
            return ChatChoice(number, opened.words, with_logprobs, self._body.custom_names())
        prompt = opened.ask.prompt if isinstance(self._body, CompletionRequest) and self._body.echo else ""
        echoed = prompt if isinstance(prompt, str) else opened.words.decode(list(prompt or ()))
        return TextChoice(number, opened.words, with_logprobs, echoed)

    def _usage(self) -> Json:
        usages = [choice.ended.usage for choice in self._choices if choice.ended]
        return usage_body(usages, len(self._choices) // self._body.choices)

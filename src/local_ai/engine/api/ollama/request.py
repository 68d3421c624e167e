"""Ollama's bodies, and the same in the core's terms. Every field is honoured, or refused by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from local_ai.engine.api.body import (
    MOST_TOOLS,
    Body,
    Defaults,
    Flag,
    ListOf,
    Must,
    NoEffect,
    Reason,
    Refused,
    Text,
    TopLogprobs,
)
from local_ai.engine.api.content import message_of
from local_ai.engine.api.ollama.messages import Images, OllamaMessage, pieces_of, read_messages
from local_ai.engine.api.ollama.options import KeepAlive, OllamaOptions
from local_ai.engine.api.openai.request import FunctionTool
from local_ai.engine.api.problems import read_model
from local_ai.engine.embeddings import Dimensions, TextInput, Texts
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Message, Thinking

if TYPE_CHECKING:
    from local_ai.settings.schema import GenerationSettings

Name = Annotated[str, Field(min_length=1)]
_EFFORTS = ("low", "medium", "high")


def _read_format(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if value == "json":
        return json.dumps({"type": "object"})
    if not isinstance(value, dict):
        raise PydanticCustomError("must", "")
    return json.dumps(value)


Format = Annotated[
    str | None,  # a JSON Schema, as text
    PlainValidator(_read_format),
    WithJsonSchema({"anyOf": [{"enum": ["json", ""]}, {"type": "object"}]}),
    Must('"json" or a JSON Schema object'),
]


def _read_think(value: Any) -> Thinking | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return Thinking(wanted=value)
    if value in _EFFORTS:
        return Thinking(wanted=True, effort=value)
    raise PydanticCustomError("must", "")


Think = Annotated[
    Thinking | None,
    PlainValidator(_read_think),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": list(_EFFORTS)}]}),
    Must("true, false, low, medium or high"),
]


class OllamaBody(Body):
    """The fields that chats and completions share."""

    model: Name
    stream: Flag = None
    format: Format = None
    options: OllamaOptions | None = None
    keep_alive: KeepAlive = None
    think: Think = None
    truncate: Flag = None
    shift: Annotated[Literal[False], Must("false: an answer ends where the context does")] | None = None
    logprobs: Flag = None
    top_logprobs: TopLogprobs = None

    def asked(self, generation: GenerationSettings, **about: Any) -> Ask:
        """Say what chats and completions have in common in the core's terms.

        Args:
            about: The rest of the `Ask`.

        Raises:
            ApiError: 400, two fields do not go together.
        """
        if self.top_logprobs and not self.logprobs:
            raise bad_field("top_logprobs", "it needs logprobs", 'set "logprobs": true')
        options = self.options or OllamaOptions()
        return Ask(
            schema=self.format,
            sampling=options.sampling(generation),
            limits=options.limits(generation),
            thinking=self.think or Thinking(wanted=generation.thinking),
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            **about,
        )


class OllamaChatRequest(OllamaBody):
    """A /api/chat body."""

    messages: ListOf[OllamaMessage] | None = None
    tools: Annotated[ListOf[FunctionTool], Field(max_length=MOST_TOOLS)] | None = None

    def ask(self, generation: GenerationSettings) -> Ask | None:
        """Say it in the core's terms; None where nothing is said, only a model loaded or unloaded.

        Raises:
            ApiError: 400, two fields do not go together.
        """
        if not self.messages:
            return None
        messages = read_messages(self.messages)
        return self.asked(
            generation, messages=messages, tools=tuple(tool.tool() for tool in self.tools or ())
        )


class OllamaGenerateRequest(OllamaBody):
    """A /api/generate body."""

    prompt: Text = None
    system: Text = None
    images: Images = None
    raw: Flag = None
    suffix: Annotated[Refused, Reason("no model here supports a suffix")] = None
    template: Annotated[
        Refused, Reason("a model's own template is used", 'write the prompt yourself and set "raw": true')
    ] = None
    context: Annotated[
        Refused, Reason("no conversation is kept as tokens", "send the messages to /api/chat")
    ] = None
    width: Annotated[Refused, Reason("no model here paints")] = None
    height: Annotated[Refused, Reason("no model here paints")] = None
    steps: Annotated[Refused, Reason("no model here paints")] = None

    def ask(self, generation: GenerationSettings) -> Ask | None:
        """Say it in the core's terms; None where nothing is said, only a model loaded or unloaded.

        Raises:
            ApiError: 400, two fields do not go together.
        """
        if not self.prompt and not self.images:
            return None
        if not self.raw:
            system = (Message("system", self.system),) if self.system else ()
            asked = message_of("user", pieces_of(self.prompt, self.images))
            return self.asked(generation, messages=(*system, asked))
        for name in ("system", "think", "format", "images"):
            if getattr(self, name):
                raise bad_field(name, "a raw prompt is continued as it is", "leave it or raw out")
        return self.asked(generation, prompt=self.prompt or "")


class OllamaEmbedRequest(Body):
    """A /api/embed body."""

    model: Name
    input: TextInput
    truncate: Flag = None
    dimensions: Dimensions = None
    options: OllamaOptions | None = None
    keep_alive: KeepAlive = None

    def texts(self) -> Texts:
        """Return what is embedded."""
        return Texts(self.model, self.input, self.dimensions, cuts=self.truncate is not False)


class OllamaEmbeddingsRequest(Body):
    """A /api/embeddings body, which /api/embed has replaced."""

    model: Name
    prompt: Annotated[str, Field(min_length=1)]
    options: OllamaOptions | None = None
    keep_alive: KeepAlive = None

    def texts(self) -> Texts:
        """Return what is embedded."""
        return Texts(self.model, (self.prompt,), cuts=True)


class OllamaShowRequest(Body):
    """A /api/show body."""

    model: Name | None = None
    name: Name | None = Field(None, description="The older name of model.")
    verbose: NoEffect = None


@dataclass(frozen=True)
class OllamaRequest:
    """A body that was understood."""

    ask: Ask | None  # None: only load the model, or unload it
    model: str
    stream: bool
    keep_alive_s: float | None  # inf: for ever; None: as the settings have it
    cuts_history: bool  # the oldest turns go where the context is too small


def read_chat(raw: bytes, defaults: Defaults) -> OllamaRequest:
    """Read a /api/chat body.

    Raises:
        ApiError: 400, naming the field.
    """
    body = read_model(raw, OllamaChatRequest)
    return _request(body, body.ask(defaults(body.model)))


def read_generate(raw: bytes, defaults: Defaults) -> OllamaRequest:
    """Read a /api/generate body.

    Raises:
        ApiError: 400, naming the field.
    """
    body = read_model(raw, OllamaGenerateRequest)
    return _request(body, body.ask(defaults(body.model)))


def read_shown(raw: bytes) -> str:
    """Read the model's name of a /api/show body.

    Raises:
        ApiError: 400, naming the field.
    """
    body = read_model(raw, OllamaShowRequest)
    name = body.model or body.name
    if name is None:
        raise bad_field("model", "it is required and missing", "add it")
    return name


def _request(body: OllamaBody, ask: Ask | None) -> OllamaRequest:
    return OllamaRequest(
        ask=ask,
        model=body.model,
        stream=body.stream is not False,
        keep_alive_s=body.keep_alive,
        cuts_history=body.truncate is not False,
    )

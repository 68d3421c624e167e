"""Ollama's bodies, and the same in the core's terms. Every field is honoured, or refused by name."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from local_ai.engine.api.body import (
    MOST_TOOLS,
    Body,
    Flag,
    ListOf,
    Logged,
    Must,
    NoEffect,
    Reason,
    Refused,
    Text,
    TextBody,
)
from local_ai.engine.api.content import message_of
from local_ai.engine.api.ollama.messages import Images, OllamaMessage, pieces_of, read_messages
from local_ai.engine.api.ollama.options import KeepAlive, OllamaOptions
from local_ai.engine.api.openai.request import FunctionTool
from local_ai.engine.api.problems import read_model
from local_ai.engine.embeddings import Dimensions, TextInput, Texts
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Message, Thinking
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


class Modelled(Body):
    """The fields that all requests to a model share."""

    model: Name
    options: OllamaOptions | None = None
    keep_alive: KeepAlive = None


class OllamaBody(Modelled, TextBody, Logged):
    """The fields that chats and completions share."""

    stream: Flag = None
    format: Format = None
    think: Think = None
    truncate: Flag = None
    shift: Annotated[Literal[False], Must("false: an answer ends where the context does")] | None = None

    def asked(self, generation: GenerationSettings, **about: Any) -> tuple[Ask]:
        """Say what chats and completions have in common in the core's terms.

        Args:
            about: The rest of the `Ask`.

        Raises:
            ApiError: 400, two fields do not go together.
        """
        options = self.options or OllamaOptions()
        ask = Ask(
            schema=self.format,
            sampling=options.sampling(generation),
            limits=options.limits(generation),
            thinking=self.think or Thinking(wanted=generation.thinking),
            logprobs=self.likeliest(),
            **about,
        )
        return (ask,)


class OllamaChatRequest(OllamaBody):
    """A /api/chat body."""

    messages: ListOf[OllamaMessage] | None = None
    tools: Annotated[ListOf[FunctionTool], Field(max_length=MOST_TOOLS)] | None = None

    def asks(self, generation: GenerationSettings) -> tuple[Ask, ...]:
        if not self.messages:
            return ()
        tools = tuple(tool.tool() for tool in self.tools or ())
        return self.asked(generation, messages=read_messages(self.messages), tools=tools)


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

    def asks(self, generation: GenerationSettings) -> tuple[Ask, ...]:
        if not self.prompt and not self.images:
            return ()
        if not self.raw:
            system = (Message("system", self.system),) if self.system else ()
            asked = message_of("user", pieces_of(self.prompt, self.images))
            return self.asked(generation, messages=(*system, asked))
        for name in ("system", "think", "format", "images"):
            if getattr(self, name):
                raise bad_field(name, "a raw prompt is continued as it is", "leave it or raw out")
        return self.asked(generation, prompt=self.prompt or "")


class OllamaEmbedRequest(Modelled):
    """A /api/embed body."""

    input: TextInput
    truncate: Flag = None
    dimensions: Dimensions = None

    def texts(self) -> Texts:
        """Return what is embedded."""
        return Texts(self.model, self.input, self.dimensions, cuts=self.truncate is not False)


class OllamaEmbeddingsRequest(Modelled):
    """A /api/embeddings body, which /api/embed has replaced."""

    prompt: Annotated[str, Field(min_length=1)]

    def texts(self) -> Texts:
        """Return what is embedded."""
        return Texts(self.model, (self.prompt,), cuts=True)


class OllamaShowRequest(Body):
    """A /api/show body."""

    model: Name | None = None
    name: Name | None = Field(None, description="The older name of model.")
    verbose: NoEffect = None


def read_shown(raw: bytes) -> str:
    """Read the model's name of a /api/show body; ApiError (400) that names a wrong field."""
    body = read_model(raw, OllamaShowRequest)
    name = body.model or body.name
    if name is None:
        raise bad_field("model", "it is required and missing", "add it")
    return name

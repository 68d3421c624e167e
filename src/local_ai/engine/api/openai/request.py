"""OpenAI's bodies, and the same in the core's terms. Every field is honoured, or refused by name."""

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from local_ai.engine.api.body import (
    MOST_TOOLS,
    Body,
    Cacheable,
    Flag,
    Json,
    ListOf,
    Logged,
    MaxTokens,
    Must,
    NoEffect,
    Reason,
    Refused,
    Sampled,
    Stops,
    Text,
    TextBody,
    TopLogprobs,
    WordOr,
    shown,
    wrong,
)
from local_ai.engine.api.custom_tools import custom_tool
from local_ai.engine.api.openai.messages import ChatMessage, read_messages
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Limits, Thinking, Tool, ToolChoice
from local_ai.settings.schema import GenerationSettings

MOST_CHOICES = 16
_NO_DRAFTS = "speculative decoding is not supported: answers are batched instead"
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity = Literal["low", "medium", "high"]  # agents send it with a model's name; no model here is told
_Choices = Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None


class StreamPadding(Body):
    """Additions of a stream to the answer."""

    include_obfuscation: Flag = None  # pads events against eavesdroppers; there are none on a loopback


class StreamOptions(StreamPadding):
    """Additions of a stream to the answer."""

    include_usage: Flag = None


class Function(Cacheable):
    """A function that may be called."""

    name: Annotated[str, Field(min_length=1)]
    description: Text = None
    parameters: Annotated[Json, Must("a JSON Schema object")] | None = None
    strict: Flag = None  # forced calls always keep to the schema

    def described(self, name: str) -> Tool:
        """Describe it to a model by this name."""
        return Tool(name, self.description or "", self.parameters or {"type": "object", "properties": {}})


class FunctionTool(Cacheable):
    """A function as a tool."""

    type: Literal["function"]
    function: Function

    def tool(self) -> Tool:
        return self.function.described(self.function.name)


class ChatGrammar(Body):
    """A grammar; the model is told of it, and nothing holds it to it."""

    syntax: Literal["lark", "regex"]
    definition: str


class ChatCustomFormat(Body):
    """The form of a custom tool's text."""

    type: Literal["text", "grammar"]
    grammar: ChatGrammar | None = None


class Custom(Cacheable):
    """A tool that is called with free text."""

    name: Annotated[str, Field(min_length=1)]
    description: Text = None
    format: ChatCustomFormat | None = None


class ChatCustomTool(Cacheable):
    """A custom tool."""

    type: Literal["custom"]
    custom: Custom

    def tool(self) -> Tool:
        grammar = self.custom.format.grammar if self.custom.format else None
        syntax, definition = (grammar.syntax, grammar.definition) if grammar else (None, None)
        return custom_tool(self.custom.name, self.custom.description, syntax, definition)


ChatTool = Annotated[FunctionTool | ChatCustomTool, Field(discriminator="type")]


class ToolName(Body):
    """The name of a tool."""

    name: str


class NamedFunction(Body):
    """One function that must be called."""

    type: Literal["function"]
    function: ToolName

    @property
    def name(self) -> str:
        return self.function.name


class NamedCustom(Body):
    """One custom tool that must be called."""

    type: Literal["custom"]
    custom: ToolName

    @property
    def name(self) -> str:
        return self.custom.name


class Allowed(Body):
    """The tools that may be called; the others are left out."""

    mode: Literal["auto", "required"]
    tools: ListOf[Annotated[NamedFunction | NamedCustom, Field(discriminator="type")]]


class ChatAllowedTools(Body):
    """Some tools of all."""

    type: Literal["allowed_tools"]
    allowed_tools: Allowed


ChatToolChoice = Annotated[
    WordOr[
        Literal["auto", "none", "required", "any"],
        Annotated[NamedFunction | NamedCustom | ChatAllowedTools, Field(discriminator="type")],
    ],
    Must("none, auto, required, a named tool or allowed_tools"),
]


class PlainFormat(Body):
    """Any text, or any JSON object."""

    type: Literal["text", "json_object"]

    def schema_of(self) -> str | None:
        """Return the JSON Schema to keep to, as text."""
        return json.dumps({"type": "object"}) if self.type == "json_object" else None


class NamedSchema(Body):
    """A JSON Schema; it is always kept to strictly here."""

    name: NoEffect = None
    description: NoEffect = None
    strict: NoEffect = None
    schema_: Annotated[Json, Must("a JSON Schema object")] = Field(alias="schema")

    def schema_of(self) -> str:
        """Return it as text."""
        return json.dumps(self.schema_)


class SchemaFormat(Body):
    """JSON that keeps to a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema

    def schema_of(self) -> str:
        """Return the JSON Schema to keep to, as text."""
        return self.json_schema.schema_of()


Format = Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")]

_TEMPLATES_OWN = {
    "messages", "tools", "tokenize", "add_generation_prompt", "continue_final_message", "conversation",
    "chat_template", "return_dict", "return_tensors", "documents", "padding", "truncation", "max_length",
    "tokenizer_kwargs", "return_assistant_tokens_mask",
}  # fmt: skip


def _check_options(options: Json) -> Json:
    if taken := sorted(_TEMPLATES_OWN & options.keys()):
        why = f"it must be an object of the template's own options, and {taken[0]} is set by the server"
        raise wrong(why)
    return options


def _only_text(modalities: list[str]) -> list[str]:
    if modalities != ["text"]:
        raise wrong(f'it must be ["text"], got {shown(modalities)}')
    return modalities


_ONE_TEXT = Field(json_schema_extra={"const": ["text"]})


class OpenAIBody(Sampled, TextBody):
    """The fields that chats and plain completions share."""

    answer: ClassVar[str]  # the kind of object that it is answered with

    stream_options: StreamOptions | None = None
    max_tokens: MaxTokens = None
    max_completion_tokens: MaxTokens = None
    stop: Stops = ()
    n: _Choices = None
    user: NoEffect = None
    metadata: NoEffect = None
    safety_identifier: NoEffect = None
    prompt_cache_key: NoEffect = None
    draft_model: Annotated[Refused, Reason(_NO_DRAFTS)] = None

    @property
    def choices(self) -> int:
        """The number of answers to each prompt."""
        return self.n or 1

    @property
    def includes_usage(self) -> bool:
        """True if a stream tells at its end how many tokens it took."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def limits(self, generation: GenerationSettings) -> Limits:
        asked = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        wanted = generation.max_tokens if asked is None else asked
        return Limits(wanted, is_default=asked is None, stops=self.stop)

    def check_stream(self) -> None:
        if self.stream_options is not None and not self.stream:
            raise bad_field("stream_options", "it needs stream", 'set "stream": true')


class ChatRequest(OpenAIBody, Logged):
    """A /v1/chat/completions body."""

    answer = "chat.completion"

    messages: Annotated[ListOf[ChatMessage], Field(min_length=1)]
    response_format: Format | None = None
    tools: Annotated[ListOf[ChatTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: ChatToolChoice | None = None
    parallel_tool_calls: Flag = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: (
        Annotated[Json, AfterValidator(_check_options), Must("an object of the template's own options")]
        | None
    ) = None
    modalities: Annotated[ListOf[str], AfterValidator(_only_text), _ONE_TEXT] | None = None
    service_tier: Literal["auto", "default"] | None = None
    verbosity: Verbosity | None = None
    prompt_cache_retention: Literal["in-memory", "in_memory"] | None = None
    store: Annotated[Literal[False], Reason("nothing is stored here")] | None = None
    functions: Annotated[Refused, Reason("it was replaced by tools", "give them as tools")] = None
    function_call: Annotated[Refused, Reason("it was replaced by tool_choice", "use tool_choice")] = None
    audio: Annotated[Refused, Reason("no model here generates speech in a chat")] = None
    prediction: Annotated[Refused, Reason("predicted outputs are not supported")] = None
    web_search_options: Annotated[Refused, Reason("there is no web search here")] = None
    num_draft_tokens: Annotated[Refused, Reason(_NO_DRAFTS)] = None
    moderation: Annotated[Refused, Reason("there is no moderation here")] = None

    def asks(self, generation: GenerationSettings) -> tuple[Ask, ...]:
        self.check_stream()
        choice, tools = self._choice(tuple(tool.tool() for tool in self.tools or ()))
        ask = Ask(
            logprobs=self.likeliest(),
            messages=read_messages(self.messages),
            tools=tools,
            tool_choice=choice,
            schema=self.response_format.schema_of() if self.response_format else None,
            sampling=self.sampling(generation),
            limits=self.limits(generation),
            thinking=read_effort(self.reasoning_effort, generation.thinking),
            template_options=self.chat_template_kwargs or {},
        )
        return (ask,)

    def custom_names(self) -> frozenset[str]:
        """Name the tools that are called with free text."""
        return frozenset(tool.custom.name for tool in self.tools or () if isinstance(tool, ChatCustomTool))

    def _choice(self, tools: tuple[Tool, ...]) -> tuple[ToolChoice, tuple[Tool, ...]]:
        """Say what is called, of which tools."""
        wanted, parallel = self.tool_choice, self.parallel_tool_calls is not False
        if isinstance(wanted, NamedFunction | NamedCustom):
            _check_name(wanted.name, tools)
            return ToolChoice("named", wanted.name, parallel), tools
        if isinstance(wanted, ChatAllowedTools):
            names = {each.name for each in wanted.allowed_tools.tools}
            for name in sorted(names):
                _check_name(name, tools)
            tools = tuple(tool for tool in tools if tool.name in names)
            wanted = wanted.allowed_tools.mode
        if wanted in ("required", "any"):
            if not tools:
                raise bad_field("tool_choice", "it asks for a call, and there are no tools", "add tools")
            return ToolChoice("required", parallel=parallel), tools
        return ToolChoice("none" if wanted == "none" else "auto", parallel=parallel), tools


def _check_name(name: str, tools: tuple[Tool, ...]) -> None:
    if name not in [tool.name for tool in tools]:
        raise bad_field("tool_choice", f"no tool is named {name!r}"[:200], "name one of tools")


def _read_prompts(value: Any) -> tuple[str | tuple[int, ...], ...]:
    entries = value if isinstance(value, list) and not _is_tokens(value) else [value]
    if not entries:
        raise wrong("it is empty", "send a text, or token ids")
    if len(entries) > MOST_CHOICES:
        raise wrong(f"it has {len(entries)} entries, {MOST_CHOICES} are allowed", "send fewer")
    if not all(isinstance(entry, str) or _is_tokens(entry) for entry in entries):
        raise PydanticCustomError("must", "")
    return tuple(entry if isinstance(entry, str) else tuple(entry) for entry in entries)


def _is_tokens(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    )


_TOKENS = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
_PROMPT = {"anyOf": [{"type": "string"}, _TOKENS]}
_PROMPTS = {"type": "array", "items": _PROMPT, "minItems": 1, "maxItems": MOST_CHOICES}
Prompts = Annotated[
    tuple[str | tuple[int, ...], ...],
    PlainValidator(_read_prompts),
    WithJsonSchema({"anyOf": [{"type": "string"}, _TOKENS, _PROMPTS]}),
    Must("a text, token ids, or a list of either"),
]


class CompletionRequest(OpenAIBody):
    """A /v1/completions body."""

    answer = "text_completion"

    prompt: Prompts
    best_of: _Choices = None
    echo: Flag = None
    logprobs: TopLogprobs = None
    suffix: Annotated[Refused, Reason("no model here supports a suffix")] = None

    def asks(self, generation: GenerationSettings) -> tuple[Ask, ...]:
        self.check_stream()
        if self.best_of is not None and self.best_of != self.choices:
            raise bad_field("best_of", "answers are not ranked: it can only equal n", "leave it out")
        if self.echo and self.logprobs is not None:
            fix = "leave echo or logprobs out"
            raise bad_field("echo", "a prompt's own logprobs are not computed", fix)
        sampling, limits = self.sampling(generation), self.limits(generation)
        return tuple(
            Ask(prompt=prompt, sampling=sampling, limits=limits, logprobs=self.logprobs)
            for prompt in self.prompt
        )


def read_effort(effort: str | None, default: bool | None) -> Thinking:
    """Say how much thinking is wanted.

    Args:
        default: Whether any is, where the request is silent; None: as the model's template has it.
    """
    if effort is None:
        return Thinking(wanted=default)
    return Thinking(wanted=effort != "none", effort=None if effort == "none" else effort)

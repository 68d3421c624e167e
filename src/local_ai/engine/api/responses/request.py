"""A /v1/responses body, and the same in the core's terms. Every field is honoured, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from local_ai.engine.api.body import (
    Body,
    Defaults,
    Filled,
    Flag,
    Json,
    ListOf,
    MaxTokens,
    Must,
    NoEffect,
    Reason,
    Refused,
    Sampled,
    TextOr,
    TopLogprobs,
    shown,
    wrong,
)
from local_ai.engine.api.openai.request import (
    Effort,
    NamedSchema,
    PlainFormat,
    StreamPadding,
    Verbosity,
    read_effort,
)
from local_ai.engine.api.problems import read_model
from local_ai.engine.api.responses.items import (
    AdditionalToolsItem,
    Item,
    ReferenceItem,
    complete_item,
    read_item,
    refuse_newest_media,
)
from local_ai.engine.api.responses.tools import (
    ResponseTool,
    ResponseToolChoice,
    Toolbox,
    read_tool_choice,
    read_tools,
)
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Limits, Message

_LOGPROBS = "message.output_text.logprobs"
# A reasoning item carries its thoughts openly, so there is nothing to encrypt.
_INCLUDED = (_LOGPROBS, "reasoning.encrypted_content")
_MOST_PAIRS, _MOST_KEY, _MOST_VALUE = 16, 64, 512  # of metadata
_METADATA = f"an object of {_MOST_PAIRS} texts, names to {_MOST_KEY} characters, texts to {_MOST_VALUE}"

FindItem = Callable[[str], Json | None]


@dataclass(frozen=True)
class ResponsesRequest:
    """A body that was understood."""

    body: ResponseRequest
    ask: Ask  # its messages are those of `items`; what came before them is not known yet
    items: tuple[Json, ...]
    toolbox: Toolbox


class ResponseFormat(NamedSchema):
    """JSON that keeps to a schema."""

    type: Literal["json_schema"]


class TextField(Body):
    """The form of the answer's text."""

    format: Annotated[PlainFormat | ResponseFormat, Field(discriminator="type")] | None = None
    verbosity: Verbosity | None = None


class Reasoning(Body):
    """Thinking: begun or not; thoughts come whole, as "auto" means."""

    effort: Effort | None = None
    summary: Literal["auto", "none"] | None = None
    generate_summary: Literal["auto", "none"] | None = None
    context: Literal["auto", "all_turns"] | None = None  # the template decides which thoughts it shows
    mode: Literal["standard"] | None = None


def _check_include(include: list[Any]) -> list[Any]:
    if not all(name in _INCLUDED for name in include):
        raise wrong(f"it must be {' or '.join(_INCLUDED)}, got {shown(include)}")
    return include


def _check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > _MOST_PAIRS or any(
        len(name) > _MOST_KEY or len(text) > _MOST_VALUE for name, text in metadata.items()
    ):
        raise wrong(f"it must be {_METADATA}, got {shown(metadata)}")
    return metadata


class ResponseRequest(Sampled):
    """A body."""

    input: Annotated[TextOr[Annotated[ListOf[Item], Field(min_length=1)]], Must("a text or a list of items")]
    instructions: Filled = None
    previous_response_id: Filled = None
    stream_options: StreamPadding | None = None
    store: Flag = None
    max_output_tokens: MaxTokens = None
    text: TextField | None = None
    tools: ListOf[ResponseTool] | None = None
    tool_choice: ResponseToolChoice | None = None
    parallel_tool_calls: Flag = None
    reasoning: Reasoning | None = None
    include: (
        Annotated[
            list[Any],
            AfterValidator(_check_include),
            Field(json_schema_extra={"items": {"enum": [*_INCLUDED]}}),
        ]
        | None
    ) = None
    top_logprobs: TopLogprobs = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: Annotated[dict[str, str], AfterValidator(_check_metadata), Must(_METADATA)] | None = None
    background: Annotated[Literal[False], Reason("nothing runs in the background here")] | None = None
    service_tier: Literal["auto", "default"] | None = None
    prompt_cache_retention: Literal["in-memory", "in_memory"] | None = None
    user: NoEffect = None
    safety_identifier: NoEffect = None
    prompt_cache_key: NoEffect = None
    client_metadata: NoEffect = None
    conversation: Annotated[
        Refused, Reason("conversations are continued with previous_response_id", "use previous_response_id")
    ] = None
    prompt: Annotated[Refused, Reason("there are no prompt templates here")] = None
    max_tool_calls: Annotated[Refused, Reason("it bounds hosted tools, and there are none here")] = None
    moderation: Annotated[Refused, Reason("there is no moderation here")] = None
    context_management: Annotated[Refused, Reason("contexts are not compacted here")] = None
    prompt_cache_options: Annotated[
        Refused, Reason("prompts are always remembered, as far as memory allows")
    ] = None
    background_options: Annotated[Refused, Reason("nothing runs in the background")] = None
    access_programs: Annotated[Refused, Reason("there are none here")] = None
    image: Annotated[
        Refused, Reason("no model here paints", "send a picture as a part of a message: input_image")
    ] = None

    @property
    def gives_logprobs(self) -> bool:
        """True if the tokens' log probabilities are wanted."""
        return _LOGPROBS in (self.include or ())

    @property
    def all_tools(self) -> list[Any]:
        """The tools, also those among the items, where some agents put them."""
        items = () if isinstance(self.input, str) else self.input
        added = [tool for item in items if isinstance(item, AdditionalToolsItem) for tool in item.tools]
        return [*(self.tools or ()), *added]


def read_response_request(
    raw: bytes, defaults: Defaults, find_item: FindItem = lambda _id: None
) -> ResponsesRequest:
    """Read a body.

    Args:
        find_item: Finds an item of an earlier response by its id.

    Raises:
        ApiError: 400, naming the field, or an item that is not kept.
    """
    body = read_model(raw, ResponseRequest)
    if body.stream_options is not None and not body.stream:
        raise bad_field("stream_options", "it needs stream", 'set "stream": true')
    if body.top_logprobs and not body.gives_logprobs:
        raise bad_field("top_logprobs", "it needs logprobs", f'set "include": ["{_LOGPROBS}"]')
    generation = defaults(body.model)
    items, messages = _read_input(body.input, find_item)
    parallel = body.parallel_tool_calls is not False
    choice, toolbox = read_tool_choice(body.tool_choice, read_tools(body.all_tools), parallel=parallel)
    wanted = generation.max_tokens if body.max_output_tokens is None else body.max_output_tokens
    ask = Ask(
        messages=messages,
        tools=toolbox.tools,
        tool_choice=choice,
        schema=body.text.format.schema_of() if body.text and body.text.format else None,
        sampling=body.sampling(generation),
        limits=Limits(wanted, is_default=body.max_output_tokens is None),
        thinking=read_effort(body.reasoning.effort if body.reasoning else None, generation.thinking),
        logprobs=(body.top_logprobs or 0) if body.gives_logprobs else None,
    )
    return ResponsesRequest(
        body=body, ask=ask, items=tuple(complete_item(item) for item in items), toolbox=toolbox
    )


def _read_input(given: Any, find_item: FindItem) -> tuple[list[Json], tuple[Message, ...]]:
    if isinstance(given, str):  # a text is one message of the user
        return [{"type": "message", "role": "user", "content": given}], (Message("user", given),)
    refuse_newest_media(given)
    items, messages = [], []
    for index, item in enumerate(given):
        if isinstance(item, AdditionalToolsItem):
            continue
        if isinstance(item, ReferenceItem):
            items.append(_resolve(item, f"input[{index}]", find_item))
            messages.append(read_item(items[-1], f"input[{index}]"))
        else:
            items.append(as_given(item))
            messages.append(item.message(f"input[{index}]"))
    return items, tuple(messages)


def _resolve(item: ReferenceItem, at: str, find_item: FindItem) -> Json:
    found = find_item(item.id)
    if found is None:
        why = f"no item {item.id[:100]!r} is kept here (a restart forgets them)"
        raise bad_field(at, why, "send the item itself")
    return found


def as_given(body: Body) -> Json:
    """Write an object as the client gave it."""
    return body.model_dump(exclude_unset=True, by_alias=True)


def echo(body: ResponseRequest, ask: Ask) -> Json:
    """Write what the response repeats of the request."""
    wanted = body.text.format if body.text else None
    choice = body.tool_choice
    return {
        "instructions": body.instructions,
        "previous_response_id": body.previous_response_id,
        "store": body.store is not False,
        "metadata": body.metadata or {},
        "temperature": ask.sampling.temperature,
        "top_p": ask.sampling.top_p,
        "max_output_tokens": None if ask.limits.is_default else ask.limits.max_tokens,
        "tools": [as_given(tool) for tool in body.tools or ()],
        "tool_choice": as_given(choice) if isinstance(choice, Body) else choice or "auto",
        "parallel_tool_calls": ask.tool_choice.parallel,
        "text": {
            "format": as_given(wanted) if wanted else {"type": "text"},
            "verbosity": (body.text and body.text.verbosity) or "medium",
        },
        "reasoning": {"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
        "truncation": body.truncation or "disabled",
        "top_logprobs": body.top_logprobs or 0,
        "user": body.user,
        "safety_identifier": body.safety_identifier,
        "prompt_cache_key": body.prompt_cache_key,
    }

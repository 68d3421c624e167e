"""A /v1/responses body in the core's terms. Every field is honoured, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_ai.engine.api.fields import Fields
from local_ai.engine.api.responses.items import Json, complete_item, list_items, read_item
from local_ai.engine.api.responses.tools import Toolbox, read_tool_choice, read_tools
from local_ai.engine.api.sampling import read_max_tokens, read_sampling
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Limits, Message, Thinking

if TYPE_CHECKING:
    from local_ai.settings.schema import GenerationSettings

# Fields that identify or file a request; no answer depends on them.
NO_EFFECT = ("user", "safety_identifier", "prompt_cache_key", "client_metadata")
REFUSED = {
    "conversation": "conversations are continued with previous_response_id",
    "prompt": "there are no prompt templates here",
    "max_tool_calls": "it bounds hosted tools, and there are none here",
    "moderation": "nothing here moderates",
    "context_management": "contexts are not compacted here",
    "prompt_cache_options": "prompts are always remembered, as long as there is room",
    "background_options": "nothing runs in the background",
    "access_programs": "there are none here",
    "image": "the models here read text only",
}
_LOGPROBS = "message.output_text.logprobs"
_MOST_PAIRS, _MOST_KEY, _MOST_VALUE = 16, 64, 512  # of metadata

FindItem = Callable[[str], Json | None]


@dataclass(frozen=True)
class ResponsesRequest:
    """A body that was understood."""

    ask: Ask  # its messages are those of `items`; what came before them is not known yet
    items: tuple[Json, ...]
    instructions: str | None
    previous: str | None  # id of the response it continues
    toolbox: Toolbox
    model: str | None
    adapter: str | None
    stream: bool
    store: bool
    truncates: bool  # old turns may be left out where the context is too small
    echo: Json  # what the response repeats of the request


def read_response_request(
    body: dict[str, Any], generation: GenerationSettings, find_item: FindItem = lambda _id: None
) -> ResponsesRequest:
    """Read a body.

    Args:
        find_item: Finds an item of an earlier response by its id.

    Raises:
        EngineError: 400, naming the field; 404 where it names an item that is not kept.
    """
    fields = Fields(body)
    _refuse(fields)
    items, messages = _read_input(fields, find_item)
    choice, toolbox = read_tool_choice(fields, read_tools(fields))
    schema = _read_format(fields)
    if schema and choice.kind in ("required", "named"):
        raise bad_field("text.format", "tool_choice says what the answer is", "leave one of them out")
    sampling, limits = read_sampling(fields, generation), _read_limits(fields, generation)
    ask = Ask(
        messages=messages,
        tools=toolbox.tools,
        tool_choice=choice,
        schema=schema,
        sampling=sampling,
        limits=limits,
        thinking=_read_thinking(fields),
        logprobs=_read_logprobs(fields),
    )
    request = ResponsesRequest(
        ask=ask,
        items=tuple(complete_item(item) for item in items),
        instructions=fields.text("instructions") or None,
        previous=fields.text("previous_response_id") or None,
        toolbox=toolbox,
        model=fields.text("model") or None,
        adapter=fields.text("adapters") or None,
        stream=_read_stream(fields),
        store=fields.flag("store", default=True),
        truncates=fields.choice("truncation", ("auto", "disabled")) == "auto",
        echo=_echo(body, ask, _read_metadata(fields)),
    )
    fields.drop(NO_EFFECT)
    fields.finish()
    return request


def _refuse(fields: Fields) -> None:
    fields.refuse(REFUSED)
    if fields.flag("background"):
        raise bad_field("background", "nothing runs in the background here", "leave it out")
    for name, allowed in (
        ("service_tier", ("auto", "default")),
        ("prompt_cache_retention", ("in-memory", "in_memory")),
    ):
        fields.choice(name, allowed)


def _read_input(fields: Fields, find_item: FindItem) -> tuple[list[Json], tuple[Message, ...]]:
    value = fields.any("input")
    if value is None:
        raise bad_field("input", "it is required and missing", "add it")
    entries = list_items(value)
    items = [_resolve(entry, f"input[{i}]", find_item) for i, entry in enumerate(entries)]
    return items, tuple(read_item(item, f"input[{i}]") for i, item in enumerate(items))


def _resolve(entry: Any, at: str, find_item: FindItem) -> Any:
    if not isinstance(entry, dict) or entry.get("type") != "item_reference":
        return entry
    reference = Fields(entry, at=at)
    reference.text("type")
    name = reference.text("id", required=True) or ""
    reference.finish()
    found = find_item(name)
    if found is None:
        raise bad_field(
            at, f"no item {name[:100]!r} is kept here (a restart forgets them)", "send the item itself"
        )
    return found


def _read_limits(fields: Fields, generation: GenerationSettings) -> Limits:
    asked = read_max_tokens(fields, "max_output_tokens")
    return Limits(generation.max_tokens if asked is None else asked, is_default=asked is None)


def _read_thinking(fields: Fields) -> Thinking:
    part = fields.part("reasoning")
    if part is None:
        return Thinking()
    effort = part.choice("effort", ("none", "minimal", "low", "medium", "high", "xhigh", "max"))
    # Thoughts come whole: that is what "auto" gets.
    for name in ("summary", "generate_summary"):
        part.choice(name, ("auto", "none"))
    part.choice("context", ("auto",))
    part.choice("mode", ("standard",))
    part.finish()
    if effort is None:
        return Thinking()
    return Thinking(wanted=effort != "none", effort=None if effort == "none" else effort)


def _read_logprobs(fields: Fields) -> int | None:
    include = fields.items("include") or []
    for name in include:
        # A reasoning item carries its thoughts openly, so there is nothing to encrypt.
        if name not in (_LOGPROBS, "reasoning.encrypted_content"):
            raise fields.wrong("include", include, f"{_LOGPROBS} or reasoning.encrypted_content")
    top = fields.integer("top_logprobs", least=0, most=20)
    if top and _LOGPROBS not in include:
        raise bad_field("top_logprobs", "it needs logprobs", f'set "include": ["{_LOGPROBS}"]')
    return (top or 0) if _LOGPROBS in include else None


def _read_format(fields: Fields) -> str | None:
    text = fields.part("text")
    if text is None:
        return None
    text.choice("verbosity", ("medium",))
    part = text.part("format")
    schema = None
    if part is not None:
        kind = part.choice("type", ("text", "json_object", "json_schema"))
        if kind is None:
            raise bad_field("text.format.type", "it is required and missing", "add it")
        if kind == "json_object":
            schema = json.dumps({"type": "object"})
        if kind == "json_schema":
            part.drop(("name", "description", "strict"))  # a schema is always kept to strictly here
            wanted = part.any("schema")
            if not isinstance(wanted, dict):
                raise part.wrong("schema", wanted, "a JSON Schema object")
            schema = json.dumps(wanted)
        part.finish()
    text.finish()
    return schema


def _read_stream(fields: Fields) -> bool:
    stream = fields.flag("stream")
    options = fields.part("stream_options")
    if options is None:
        return stream
    if not stream:
        raise bad_field("stream_options", "it needs stream", 'set "stream": true')
    options.flag("include_obfuscation")  # pads events against eavesdroppers; there are none on a loopback
    options.finish()
    return stream


def _read_metadata(fields: Fields) -> dict[str, str]:
    value = fields.any("metadata")
    if value is None:
        return {}
    expected = f"an object of {_MOST_PAIRS} texts, names to {_MOST_KEY} characters, texts to {_MOST_VALUE}"
    if not isinstance(value, dict) or len(value) > _MOST_PAIRS:
        raise fields.wrong("metadata", value, expected)
    for name, each in value.items():
        if len(name) > _MOST_KEY or not isinstance(each, str) or len(each) > _MOST_VALUE:
            raise fields.wrong("metadata", value, expected)
    return value


def _echo(body: Json, ask: Ask, metadata: dict[str, str]) -> Json:
    text, reasoning = body.get("text") or {}, body.get("reasoning") or {}
    return {
        "metadata": metadata,
        "temperature": ask.sampling.temperature,
        "top_p": ask.sampling.top_p,
        "max_output_tokens": None if ask.limits.is_default else ask.limits.max_tokens,
        "tools": body.get("tools") or [],
        "tool_choice": body.get("tool_choice") or "auto",
        "parallel_tool_calls": ask.tool_choice.parallel,
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": "medium"},
        "reasoning": {"effort": reasoning.get("effort"), "summary": None},
        "truncation": body.get("truncation") or "disabled",
        "top_logprobs": body.get("top_logprobs") or 0,
        "user": body.get("user"),
        "safety_identifier": body.get("safety_identifier"),
        "prompt_cache_key": body.get("prompt_cache_key"),
    }

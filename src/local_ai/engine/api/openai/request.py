"""An OpenAI body in the core's terms. Every field is honoured, or refused by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_ai.engine.api.fields import Fields
from local_ai.engine.api.openai.messages import read_messages
from local_ai.engine.api.sampling import read_max_tokens, read_sampling, read_stops
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Limits, Thinking, Tool, ToolChoice

if TYPE_CHECKING:
    from local_ai.settings.schema import GenerationSettings

MOST_CHOICES = 16
_MOST_TOOLS = 512

# Fields that identify or file a request; no answer depends on them.
NO_EFFECT = ("user", "metadata", "safety_identifier", "prompt_cache_key")
REFUSED = {
    "functions": "it was replaced by tools",
    "function_call": "it was replaced by tool_choice",
    "audio": "no model here speaks in a chat",
    "prediction": "predicted outputs are not supported",
    "web_search_options": "there is no web search here",
    "draft_model": "speculative decoding is not supported: answers are batched instead",
    "num_draft_tokens": "speculative decoding is not supported: answers are batched instead",
    "moderation": "nothing here moderates",
}


@dataclass(frozen=True)
class OpenAIRequest:
    """A body that was understood."""

    ask: Ask
    model: str | None
    adapter: str | None
    stream: bool
    include_usage: bool
    choices: int


def read_chat(body: dict[str, Any], generation: GenerationSettings) -> OpenAIRequest:
    """Read a /v1/chat/completions body.

    Raises:
        EngineError: 400, naming the field.
    """
    fields = Fields(body)
    _refuse_chat(fields)
    messages = read_messages(fields)
    tools = _read_tools(fields)
    choice = _read_tool_choice(fields, tools)
    schema = _read_format(fields)
    if schema and choice.kind in ("required", "named"):
        raise bad_field("response_format", "tool_choice says what the answer is", "leave one of them out")
    ask = Ask(
        messages=messages,
        tools=tools,
        tool_choice=choice,
        schema=schema,
        sampling=read_sampling(fields, generation),
        limits=_read_limits(fields, generation),
        thinking=_read_thinking(fields),
        logprobs=_read_logprobs(fields),
        template_options=_read_template_options(fields),
    )
    return _finish(fields, ask)


@dataclass(frozen=True)
class CompletionRequest:
    """A plain completion's body that was understood."""

    shared: OpenAIRequest
    asks: tuple[Ask, ...]  # one per prompt
    echo: bool  # the answer begins with the prompt


def read_completion(body: dict[str, Any], generation: GenerationSettings) -> CompletionRequest:
    """Read a /v1/completions body.

    Raises:
        EngineError: 400, naming the field.
    """
    fields = Fields(body)
    fields.refuse(
        {
            "suffix": "no model here fills in the middle",
            "draft_model": REFUSED["draft_model"],
        }
    )
    best_of = fields.integer("best_of", least=1, most=MOST_CHOICES)
    wanted = body.get("n") or 1
    if best_of is not None and best_of != wanted:
        raise bad_field("best_of", "answers are not ranked: it can only equal n", "leave it out")
    echo = fields.flag("echo")
    logprobs = fields.integer("logprobs", least=0, most=20)
    if echo and logprobs is not None:
        raise bad_field("echo", "a prompt's own logprobs are not computed", "leave echo or logprobs out")
    prompts = _read_prompts(fields)
    sampling, limits = read_sampling(fields, generation), _read_limits(fields, generation)
    asks = tuple(
        Ask(prompt=prompt, sampling=sampling, limits=limits, logprobs=logprobs) for prompt in prompts
    )
    return CompletionRequest(_finish(fields, asks[0]), asks, echo)


def _finish(fields: Fields, ask: Ask) -> OpenAIRequest:
    stream = fields.flag("stream")
    include_usage = _read_stream_options(fields, stream)
    request = OpenAIRequest(
        ask=ask,
        model=fields.text("model") or None,
        adapter=fields.text("adapters") or None,
        stream=stream,
        include_usage=include_usage,
        choices=fields.integer("n", least=1, most=MOST_CHOICES) or 1,
    )
    fields.drop(NO_EFFECT)
    fields.finish()
    return request


def _refuse_chat(fields: Fields) -> None:
    fields.refuse(REFUSED)
    if fields.flag("store"):
        raise bad_field("store", "nothing is stored here", "leave it out")
    for name, allowed in (
        ("service_tier", ("auto", "default")),
        ("verbosity", ("medium",)),
        ("prompt_cache_retention", ("in-memory", "in_memory")),
    ):
        fields.choice(name, allowed)
    if (modalities := fields.items("modalities")) not in (None, ["text"]):
        raise fields.wrong("modalities", modalities, '["text"]')


def _read_limits(fields: Fields, generation: GenerationSettings) -> Limits:
    names = ("max_completion_tokens", "max_tokens")
    asked = [value for name in names if (value := read_max_tokens(fields, name)) is not None]
    wanted = asked[0] if asked else generation.max_tokens
    return Limits(wanted, is_default=not asked, stops=read_stops(fields, "stop"))


def _read_thinking(fields: Fields) -> Thinking:
    effort = fields.choice("reasoning_effort", ("none", "minimal", "low", "medium", "high", "xhigh", "max"))
    if effort is None:
        return Thinking()
    return Thinking(wanted=effort != "none", effort=None if effort == "none" else effort)


def _read_logprobs(fields: Fields) -> int | None:
    wanted = fields.flag("logprobs")
    top = fields.integer("top_logprobs", least=0, most=20)
    if top and not wanted:
        raise bad_field("top_logprobs", "it needs logprobs", 'set "logprobs": true')
    return (top or 0) if wanted else None


def _read_template_options(fields: Fields) -> dict[str, Any]:
    value = fields.any("chat_template_kwargs")
    if value is None:
        return {}
    taken = {
        "messages",
        "tools",
        "tokenize",
        "add_generation_prompt",
        "continue_final_message",
        "conversation",
    }
    taken |= {"chat_template", "return_dict", "return_tensors", "documents", "padding", "truncation"}
    taken |= {"max_length", "tokenizer_kwargs", "return_assistant_tokens_mask"}
    if not isinstance(value, dict) or taken & set(value):
        raise fields.wrong("chat_template_kwargs", value, "an object of the template's own options")
    return value


def _read_stream_options(fields: Fields, stream: bool) -> bool:
    options = fields.part("stream_options")
    if options is None:
        return False
    if not stream:
        raise bad_field("stream_options", "it needs stream", 'set "stream": true')
    include_usage = options.flag("include_usage")
    options.flag("include_obfuscation")  # pads events against eavesdroppers; there are none on a loopback
    options.finish()
    return include_usage


def _read_format(fields: Fields) -> str | None:
    part = fields.part("response_format")
    if part is None:
        return None
    kind = part.choice("type", ("text", "json_object", "json_schema"))
    if kind is None:
        raise bad_field("response_format.type", "it is required and missing", "add it")
    schema: str | None = None
    if kind == "json_object":
        schema = json.dumps({"type": "object"})
    if kind == "json_schema":
        stated = part.part("json_schema")
        if stated is None:
            raise bad_field("response_format.json_schema", "it is required and missing", "add it")
        stated.drop(("name", "description", "strict"))  # a schema is always kept to strictly here
        wanted = stated.any("schema")
        if not isinstance(wanted, dict):
            raise stated.wrong("schema", wanted, "a JSON Schema object")
        stated.finish()
        schema = json.dumps(wanted)
    part.finish()
    return schema


def _read_tools(fields: Fields) -> tuple[Tool, ...]:
    tools = []
    stated = fields.items("tools") or []
    if len(stated) > _MOST_TOOLS:
        raise bad_field("tools", f"it has {len(stated)} entries, {_MOST_TOOLS} are allowed", "send fewer")
    for index, entry in enumerate(stated):
        tool = Fields(entry, at=f"tools[{index}]")
        if tool.choice("type", ("function",)) is None or (function := tool.part("function")) is None:
            raise bad_field(f"tools[{index}]", "only tools of type function can be called", "correct it")
        name = function.text("name", required=True)
        assert name is not None
        description = function.text("description") or ""
        parameters = function.any("parameters") or {"type": "object", "properties": {}}
        if not name or not isinstance(parameters, dict):
            raise function.wrong("parameters", parameters, "a JSON Schema object")
        function.flag("strict")  # forced calls always keep to the schema
        function.finish()
        tool.finish()
        tools.append(Tool(name, description, parameters))
    return tuple(tools)


def _read_tool_choice(fields: Fields, tools: tuple[Tool, ...]) -> ToolChoice:
    parallel = fields.flag("parallel_tool_calls", default=True)
    value = fields.any("tool_choice")
    if isinstance(value, dict):
        choice = Fields(value, at="tool_choice")
        if choice.choice("type", ("function",)) is None or (function := choice.part("function")) is None:
            raise fields.wrong("tool_choice", value, '{"type": "function", "function": {"name": …}}')
        name = function.text("name", required=True)
        function.finish()
        choice.finish()
        if name not in [tool.name for tool in tools]:
            raise bad_field("tool_choice", f"no tool is named {name!r}"[:200], "name one of tools")
        return ToolChoice("named", name or "", parallel)
    if value in ("required", "any") and tools:
        return ToolChoice("required", parallel=parallel)
    if value == "required":
        raise bad_field("tool_choice", "it asks for a call, and there are no tools", "add tools")
    if value not in (None, "auto", "none"):
        raise fields.wrong("tool_choice", value, "none, auto, required or a named function")
    return ToolChoice("none" if value == "none" else "auto", parallel=parallel)


def _read_prompts(fields: Fields) -> list[str | tuple[int, ...]]:
    value = fields.any("prompt")
    if value is None:
        raise bad_field("prompt", "it is required and missing", "add it")
    entries = value if isinstance(value, list) and not _is_tokens(value) else [value]
    if not 1 <= len(entries) <= MOST_CHOICES:
        raise bad_field("prompt", f"it has {len(entries)} entries, {MOST_CHOICES} are allowed", "send fewer")
    prompts: list[str | tuple[int, ...]] = []
    for entry in entries:
        if isinstance(entry, str):
            prompts.append(entry)
        elif _is_tokens(entry):
            prompts.append(tuple(entry))
        else:
            raise fields.wrong("prompt", value, "a text, token ids, or a list of either")
    return prompts


def _is_tokens(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    )

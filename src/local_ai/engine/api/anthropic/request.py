"""An Anthropic body in the core's terms. Every field is honoured, or refused by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_ai.engine.api.anthropic.blocks import read_messages, read_system
from local_ai.engine.api.fields import Fields
from local_ai.engine.api.sampling import read_max_tokens, read_sampling, read_stops
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Limits, Message, Thinking, Tool, ToolChoice

if TYPE_CHECKING:
    from local_ai.settings.schema import GenerationSettings

_MOST_TOOLS = 512

# Fields that identify or file a request; no answer depends on them.
NO_EFFECT = ("metadata", "cache_control")
REFUSED = {
    "container": "there are no containers here",
    "mcp_servers": "servers are not called from here; give their tools as tools",
    "inference_geo": "answers are generated on this machine",
    "speed": "there is one speed here",
}


@dataclass(frozen=True)
class AnthropicRequest:
    """A body that was understood."""

    ask: Ask
    model: str | None
    adapter: str | None
    stream: bool
    shows_thoughts: bool


def read_request(
    body: dict[str, Any], generation: GenerationSettings, *, counting: bool = False
) -> AnthropicRequest:
    """Read a /v1/messages body, or a count_tokens one, which has fewer fields.

    Raises:
        EngineError: 400, naming the field.
    """
    fields = Fields(body)
    fields.refuse(REFUSED)
    _read_context_management(fields)
    fields.choice("service_tier", ("auto", "standard_only"))
    messages = _with_system(read_system(fields), read_messages(fields))
    tools = _read_tools(fields)
    thinking = _read_thinking(fields)
    choice = _read_tool_choice(fields, tools)
    schema, effort = _read_output(fields)
    if schema and choice.kind in ("required", "named"):
        raise bad_field("output_config", "tool_choice says what the answer is", "leave one of them out")
    ask = Ask(
        messages=messages,
        tools=tools,
        tool_choice=choice,
        schema=schema,
        sampling=read_sampling(fields, generation),
        limits=_read_limits(fields, generation, counting=counting),
        thinking=Thinking(thinking.wanted, thinking.max_tokens, effort),
        continues_last=messages[-1].role == "assistant" and not messages[-1].calls,
    )
    request = AnthropicRequest(
        ask=ask,
        model=fields.text("model") or None,
        adapter=fields.text("adapters") or None,
        stream=fields.flag("stream"),
        shows_thoughts=bool(thinking.wanted),
    )
    fields.drop(NO_EFFECT)
    fields.finish()
    return request


def _with_system(system: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return (Message("system", system), *messages) if system else messages


def _read_limits(fields: Fields, generation: GenerationSettings, *, counting: bool) -> Limits:
    asked = read_max_tokens(fields, "max_tokens")
    wanted = generation.max_tokens if asked is None else asked
    is_default = asked is None or counting  # what is only counted has no answer to bound
    return Limits(wanted, is_default=is_default, stops=read_stops(fields, "stop_sequences"))


def _read_tools(fields: Fields) -> tuple[Tool, ...]:
    stated = fields.items("tools") or []
    if len(stated) > _MOST_TOOLS:
        raise bad_field("tools", f"it has {len(stated)} entries, {_MOST_TOOLS} are allowed", "send fewer")
    return tuple(_read_tool(Fields(entry, at=f"tools[{i}]")) for i, entry in enumerate(stated))


def _read_tool(tool: Fields) -> Tool:
    kind = tool.text("type")
    if kind not in (None, "custom"):
        raise bad_field(tool.name("type"), f"{kind[:60]!r} runs on Anthropic's servers", "give a custom tool")
    name = tool.text("name", required=True) or ""
    schema = tool.any("input_schema")
    if not isinstance(schema, dict):
        raise tool.wrong("input_schema", schema, "a JSON Schema object")
    description = tool.text("description") or ""
    # Hints for caching, checking and showing; prefixes are always remembered, forced calls always checked.
    tool.drop(("cache_control", "strict", "eager_input_streaming"))
    tool.refuse(
        {
            "defer_loading": "there is no tool search here",
            "allowed_callers": "tools are called by the client",
            "input_examples": "templates have no place for examples",
        }
    )
    tool.finish()
    return Tool(name, description, schema)


def _read_tool_choice(fields: Fields, tools: tuple[Tool, ...]) -> ToolChoice:
    choice = fields.part("tool_choice")
    if choice is None:
        return ToolChoice()
    kind = choice.choice("type", ("auto", "any", "tool", "none"))
    parallel = not choice.flag("disable_parallel_tool_use")
    name = choice.text("name", required=True) if kind == "tool" else None
    choice.finish()
    if kind in ("any", "tool") and not tools:
        raise bad_field("tool_choice", "it asks for a call, and there are no tools", "add tools")
    if name is not None:
        if name not in [tool.name for tool in tools]:
            raise bad_field("tool_choice.name", f"no tool is named {name!r}"[:200], "name one of tools")
        return ToolChoice("named", name, parallel)
    if kind is None:
        raise bad_field("tool_choice.type", "it is required and missing", "add it")
    if kind == "any":
        return ToolChoice("required", parallel=parallel)
    return ToolChoice("none" if kind == "none" else "auto", parallel=parallel)


def _read_thinking(fields: Fields) -> Thinking:
    part = fields.part("thinking")
    if part is None:
        return Thinking(wanted=False)
    kind = part.choice("type", ("enabled", "disabled", "adaptive"))
    budget = part.integer("budget_tokens", least=1, most=10**9)
    display = part.choice("display", ("summarized", "omitted", "full"))
    part.finish()
    if kind is None:
        raise bad_field("thinking.type", "it is required and missing", "add it")
    if kind == "enabled" and budget is None:
        raise bad_field("thinking.budget_tokens", "it is required and missing", "add it")
    if display == "omitted":
        raise bad_field("thinking.display", "thoughts are either shown or not generated", "leave it out")
    return Thinking(wanted=kind != "disabled", max_tokens=budget if kind == "enabled" else None)


def _read_output(fields: Fields) -> tuple[str | None, str | None]:
    """Take `output_config`: a JSON Schema to keep to, and how much effort to make."""
    part = fields.part("output_config")
    if part is None:
        return None, None
    effort = part.choice("effort", ("low", "medium", "high", "xhigh", "max"))
    schema = None
    if wanted := part.part("format"):
        wanted.choice("type", ("json_schema",))
        stated = wanted.any("schema")
        if not isinstance(stated, dict):
            raise wanted.wrong("schema", stated, "a JSON Schema object")
        wanted.finish()
        schema = json.dumps(stated)
    part.finish()
    return schema, effort


def _read_context_management(fields: Fields) -> None:
    part = fields.part("context_management")
    if part is None:
        return
    for edit in part.items("edits") or []:
        # Old thoughts are left out by the chat templates themselves.
        if not isinstance(edit, dict) or not str(edit.get("type")).startswith("clear_thinking"):
            raise bad_field("context_management.edits", "contexts are not edited here", "leave it out")
    part.finish()

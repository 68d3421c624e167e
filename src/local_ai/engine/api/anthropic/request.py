"""Anthropic's body, and the same in the core's terms. Every field is honoured, or refused by name."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from local_ai.engine.api.anthropic.blocks import SystemText, Turn, read_turns
from local_ai.engine.api.body import (
    MOST_TOOLS,
    Body,
    Cacheable,
    Flag,
    Json,
    ListOf,
    MaxTokens,
    Must,
    NoEffect,
    Reason,
    Refused,
    Sampled,
    Stops,
    Text,
    TextBody,
    wrong,
)
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask, Limits, Thinking, Tool, ToolChoice
from local_ai.settings.schema import GenerationSettings

# Anthropic's tool runners send their whole conversation instead where an error says this.
# Source: anthropic-python's types/thread_unsupported_request_error_details.py
_NO_THREADS = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


def _custom(kind: str | None) -> str | None:
    if kind not in (None, "custom"):
        raise wrong(f"{kind[:60]!r} runs on Anthropic's servers", "give a custom tool")
    return kind


class CustomTool(Cacheable):
    """A function that the client runs."""

    type: Annotated[Text, AfterValidator(_custom), Field(json_schema_extra={"const": "custom"})] = None
    name: str
    description: Text = None
    input_schema: Annotated[Json, Must("a JSON Schema object")]
    # Hints for caching, checking and showing; forced calls are always checked.
    strict: NoEffect = None
    eager_input_streaming: NoEffect = None
    defer_loading: Annotated[Refused, Reason("there is no tool search here")] = None
    allowed_callers: Annotated[Refused, Reason("tools are called by the client")] = None
    input_examples: Annotated[Refused, Reason("chat templates cannot show examples")] = None

    def tool(self) -> Tool:
        return Tool(self.name, self.description or "", self.input_schema)


class Choice(Body):
    """The choice of a tool."""

    type: Literal["auto", "any", "tool", "none"]
    name: Text = None
    disable_parallel_tool_use: Flag = None


class ThinkingField(Body):
    """Thinking: begun or not, shown or not."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1, le=10**9)] | None = None
    display: Literal["summarized", "omitted", "full"] | None = None

    def thinking(self, effort: str | None) -> Thinking:
        if self.type == "enabled" and self.budget_tokens is None:
            raise bad_field("thinking.budget_tokens", "it is required and missing", "add it")
        if self.display == "omitted":
            raise bad_field("thinking.display", "thoughts are either shown or not generated", "leave it out")
        budget = self.budget_tokens if self.type == "enabled" else None
        return Thinking(wanted=self.type != "disabled", max_tokens=budget, effort=effort)


class OutputFormat(Body):
    """JSON that keeps to a schema."""

    type: Literal["json_schema"] | None = None
    schema_: Annotated[Json, Must("a JSON Schema object")] = Field(alias="schema")


class OutputConfig(Body):
    """The form of the answer, and the effort."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


def _only_thoughts(edits: list[Any]) -> list[Any]:
    # Old thoughts are left out by the chat templates themselves.
    if not all(isinstance(e, dict) and str(e.get("type")).startswith("clear_thinking") for e in edits):
        raise wrong("contexts are not edited here", "leave it out")
    return edits


class ContextManagement(Body):
    """The editing of the context."""

    edits: Annotated[list[Any], AfterValidator(_only_thoughts)] | None = None


class MessagesRequest(Sampled, TextBody):
    """A /anthropic/v1/messages body, or a count_tokens one, which has fewer fields."""

    messages: Annotated[ListOf[Turn], Field(min_length=1)]
    system: SystemText | None = None
    max_tokens: MaxTokens = None
    stop_sequences: Stops = ()
    tools: Annotated[ListOf[CustomTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Choice | None = None
    thinking: ThinkingField | None = None
    output_config: OutputConfig | None = None
    context_management: ContextManagement | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    metadata: NoEffect = None
    cache_control: NoEffect = None
    container: Annotated[Refused, Reason("there are no containers here")] = None
    mcp_servers: Annotated[
        Refused, Reason("servers are not called from here", "give their tools as tools")
    ] = None
    inference_geo: Annotated[Refused, Reason("answers are generated on this machine")] = None
    speed: Annotated[Refused, Reason("there is only one speed here")] = None
    thread: Annotated[
        Refused,
        Reason("no conversation is kept here", "send the whole one, without it", details=_NO_THREADS),
    ] = None

    def asks(self, generation: GenerationSettings) -> tuple[Ask, ...]:
        messages = read_turns(self.system, self.messages)
        tools = tuple(tool.tool() for tool in self.tools or ())
        output = self.output_config or OutputConfig()
        choice = self._choice(tools)
        schema = json.dumps(output.format.schema_) if output.format else None
        silent: Literal["adaptive", "disabled"] = "adaptive" if generation.thinking else "disabled"
        thinking = self.thinking or ThinkingField(type=silent)
        wanted = generation.max_tokens if self.max_tokens is None else self.max_tokens
        ask = Ask(
            messages=messages,
            tools=tools,
            tool_choice=choice,
            schema=schema,
            sampling=self.sampling(generation),
            limits=Limits(wanted, is_default=self.max_tokens is None, stops=self.stop_sequences),
            thinking=thinking.thinking(output.effort),
            continues_last=messages[-1].role == "assistant" and not messages[-1].calls,
        )
        return (ask,)

    def _choice(self, tools: tuple[Tool, ...]) -> ToolChoice:
        choice = self.tool_choice
        if choice is None:
            return ToolChoice()
        parallel = not choice.disable_parallel_tool_use
        if choice.type in ("any", "tool") and not tools:
            raise bad_field("tool_choice", "it asks for a call, and there are no tools", "add tools")
        if choice.type == "tool":
            if choice.name is None:
                raise bad_field("tool_choice.name", "it is required and missing", "add it")
            if choice.name not in [tool.name for tool in tools]:
                why = f"no tool is named {choice.name!r}"[:200]
                raise bad_field("tool_choice.name", why, "name one of tools")
            return ToolChoice("named", choice.name, parallel)
        if choice.type == "any":
            return ToolChoice("required", parallel=parallel)
        return ToolChoice("none" if choice.type == "none" else "auto", parallel=parallel)

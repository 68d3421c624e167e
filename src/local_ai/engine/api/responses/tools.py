"""The tools of a response: functions and custom ones, in namespaces or not, and which may be called."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag

from local_ai.engine.api.body import (
    MOST_TOOLS,
    Body,
    Cacheable,
    Flag,
    Kinds,
    ListOf,
    Must,
    NoEffect,
    Reason,
    Refused,
    Text,
    WordOr,
)
from local_ai.engine.api.custom_tools import custom_tool
from local_ai.engine.api.openai.request import Function
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Tool, ToolChoice

_HOSTED = "of type {tag}, it runs on OpenAI's servers; give your own as tools of type function"
_Name = Annotated[str, Field(min_length=1)]


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Name:
    """A tool's name as the client gave it."""

    namespace: str | None
    name: str
    is_custom: bool = False  # it is called with free text


@dataclass(frozen=True)
class Toolbox:
    """The functions a model may call, and what their names are to the client."""

    tools: tuple[Tool, ...]
    names: dict[str, Name]  # by the name the model knows

    def client_name(self, name: str) -> Name:
        return self.names.get(name, Name(None, name))


def qualify(namespace: str | None, name: str) -> str:
    """Name a function to the model so that two namespaces may have one of the same name."""
    if not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


class ResponseFunctionTool(Function):
    """A function that may be called."""

    type: Literal["function"]
    defer_loading: Flag = None  # there is no tool search here: each tool is offered at once
    allowed_callers: Annotated[Refused, Reason("tools are called by the client")] = None
    output_schema: Annotated[Refused, Reason("chat templates cannot show it")] = None

    def tool(self, namespace: str | None) -> tuple[Name, Tool]:
        return Name(namespace, self.name), self.described(qualify(namespace, self.name))


class CustomFormat(Body):
    """The form of a custom tool's text; the model is told of it, and nothing holds it to it."""

    type: Literal["text", "grammar"]
    syntax: Literal["lark", "regex"] | None = None
    definition: Text = None


class CustomTool(Cacheable):
    """A tool that is called with free text."""

    type: Literal["custom"]
    name: _Name
    description: Text = None
    format: CustomFormat | None = None
    defer_loading: Flag = None
    allowed_callers: Annotated[Refused, Reason("tools are called by the client")] = None

    def tool(self, namespace: str | None) -> tuple[Name, Tool]:
        form = self.format or CustomFormat(type="text")
        qualified = qualify(namespace, self.name)
        tool = custom_tool(qualified, self.description, form.syntax, form.definition)
        return Name(namespace, self.name, is_custom=True), tool


class NamespaceTool(Body):
    """Tools of one namespace."""

    type: Literal["namespace"]
    name: str
    description: NoEffect = None  # of the whole; each tool has its own
    tools: ListOf[Annotated[ResponseFunctionTool | CustomTool, Field(discriminator="type")]]


class HostedTool(Body):
    """A tool that agents add by themselves, and that runs elsewhere or is only a model's habit: left out."""

    model_config = ConfigDict(extra="allow")

    type: Literal[
        "web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11",
        "local_shell", "shell", "apply_patch", "image_generation", "tool_search", "programmatic_tool_calling",
    ]  # fmt: skip


_LEFT_OUT = get_args(HostedTool.model_fields["type"].annotation)


def _kind_of(tool: Any) -> str | None:
    kind = tool.get("type") if isinstance(tool, dict) else getattr(tool, "type", None)
    return "(left out)" if kind in _LEFT_OUT else None if kind is None else str(kind)


ResponseTool = Annotated[
    Annotated[ResponseFunctionTool, Tag("function")]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[NamespaceTool, Tag("namespace")]
    | Annotated[HostedTool, Tag("(left out)")],
    Discriminator(_kind_of),
    Kinds(_HOSTED, "leave it out"),
]


class FunctionChoice(Body):
    """One function, or one custom tool."""

    type: Literal["function", "custom"]
    name: str
    namespace: Text = None

    def qualified(self, toolbox: Toolbox) -> str:
        name = qualify(self.namespace, self.name)
        if name not in toolbox.names:
            raise bad_field("tool_choice", f"no tool is named {name!r}"[:200], "name one of tools")
        return name


class AllowedTools(Body):
    """The functions that may be called; the others are left out."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] | None = None
    tools: ListOf[FunctionChoice]


ResponseToolChoice = Annotated[
    WordOr[
        Literal["none", "auto", "required"],
        Annotated[FunctionChoice | AllowedTools, Field(discriminator="type")],
    ],
    Must("none, auto, required, a function or allowed_tools"),
]


def read_tools(tools: Sequence[Any]) -> Toolbox:
    """Say which functions there are; ApiError (400) where they are too many, or two have one name."""
    if left_out := sorted({tool.type for tool in tools if isinstance(tool, HostedTool)}):
        log.info("tools left out, for no model here can use them: %s", ", ".join(left_out))
    found = [each for tool in tools for each in _functions(tool)]
    if len(found) > MOST_TOOLS:
        raise bad_field("tools", f"there are {len(found)}, {MOST_TOOLS} are allowed", "send fewer")
    names = {tool.name: name for name, tool in found}
    if len(names) < len(found):
        raise bad_field("tools", "two functions have the same name", "rename one")
    return Toolbox(tuple(tool for _, tool in found), names)


def read_tool_choice(choice: Any, toolbox: Toolbox, *, parallel: bool) -> tuple[ToolChoice, Toolbox]:
    """Say which function is called; `allowed_tools` leaves the others out.

    Raises:
        ApiError: 400, no such function is among the tools.
    """
    if isinstance(choice, FunctionChoice):
        return ToolChoice("named", choice.qualified(toolbox), parallel), toolbox
    if isinstance(choice, AllowedTools):
        allowed = {each.qualified(toolbox) for each in choice.tools}
        toolbox = Toolbox(tuple(tool for tool in toolbox.tools if tool.name in allowed), toolbox.names)
        return _choose(choice.mode or "auto", toolbox, parallel=parallel), toolbox
    return _choose(choice or "auto", toolbox, parallel=parallel), toolbox


def _functions(tool: Any) -> Iterator[tuple[Name, Tool]]:
    if isinstance(tool, ResponseFunctionTool | CustomTool):
        yield tool.tool(None)
    elif isinstance(tool, NamespaceTool):
        for function in tool.tools:
            yield function.tool(tool.name)


def _choose(kind: str, toolbox: Toolbox, *, parallel: bool) -> ToolChoice:
    if kind == "required":
        if not toolbox.tools:
            raise bad_field("tool_choice", "it asks for a call, and there are no tools", "add tools")
        return ToolChoice("required", parallel=parallel)
    return ToolChoice("none" if kind == "none" else "auto", parallel=parallel)

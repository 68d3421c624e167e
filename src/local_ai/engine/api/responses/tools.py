"""The tools of a response: flat functions, functions in namespaces, and which of them may be called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_ai.engine.api.fields import Fields
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Tool, ToolChoice

_MOST_TOOLS = 512
_HOSTED = "it runs on OpenAI's servers; give your own as tools of type function"
# What Codex always sends: a search that may not leave OpenAI's cache. Offering it to nobody is all it asks.
_CACHED_SEARCH = {"type": "web_search", "external_web_access": False}


@dataclass(frozen=True)
class Name:
    """A function's name as the client gave it."""

    namespace: str | None
    name: str


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


def read_tools(fields: Fields) -> Toolbox:
    """Take `tools`.

    Raises:
        EngineError: 400, naming the tool.
    """
    found: list[tuple[Name, Tool]] = []
    for index, entry in enumerate(fields.items("tools") or []):
        at = f"tools[{index}]"
        if entry != _CACHED_SEARCH:
            found += _read_tool(Fields(entry, at=at), at)
    if len(found) > _MOST_TOOLS:
        raise bad_field("tools", f"there are {len(found)}, {_MOST_TOOLS} are allowed", "send fewer")
    names = {tool.name: name for name, tool in found}
    if len(names) < len(found):
        raise bad_field("tools", "two functions have the same name", "rename one")
    return Toolbox(tuple(tool for _, tool in found), names)


def read_tool_choice(fields: Fields, toolbox: Toolbox) -> tuple[ToolChoice, Toolbox]:
    """Take `tool_choice` and `parallel_tool_calls`; `allowed_tools` leaves the others out."""
    parallel = fields.flag("parallel_tool_calls", default=True)
    value = fields.any("tool_choice")
    if isinstance(value, dict):
        return _read_choice(Fields(value, at="tool_choice"), toolbox, parallel=parallel)
    if value not in (None, "auto", "none", "required"):
        raise fields.wrong("tool_choice", value, "none, auto, required, a function or allowed_tools")
    return _choose(value or "auto", toolbox, parallel=parallel), toolbox


def _read_tool(tool: Fields, at: str) -> Iterator[tuple[Name, Tool]]:
    kind = tool.text("type", required=True)
    if kind == "namespace":
        yield from _read_namespace(tool)
    elif kind == "function":
        yield _read_function(tool, None)
    elif kind == "custom":
        raise bad_field(at, "the models here call with JSON, not free text", "give a tool of type function")
    else:
        raise bad_field(at, f"of type {str(kind)[:40]!r}, {_HOSTED}", "leave it out")
    tool.finish()


def _read_namespace(tool: Fields) -> Iterator[tuple[Name, Tool]]:
    namespace = tool.text("name", required=True)
    tool.text("description")  # of the whole; each function has its own
    for index, entry in enumerate(tool.items("tools", required=True) or []):
        inner = Fields(entry, at=f"{tool.name('tools')}[{index}]")
        inner.choice("type", ("function",))
        yield _read_function(inner, namespace)
        inner.finish()


def _read_function(function: Fields, namespace: str | None) -> tuple[Name, Tool]:
    name = function.text("name", required=True) or ""
    description = function.text("description") or ""
    parameters: Any = function.any("parameters")
    parameters = {"type": "object", "properties": {}} if parameters is None else parameters
    if not name:
        raise function.wrong("name", name, "a name")
    if not isinstance(parameters, dict):
        raise function.wrong("parameters", parameters, "a JSON Schema object")
    function.flag("strict")  # forced calls always keep to the schema
    function.refuse(
        {
            "defer_loading": "there is no tool search here",
            "allowed_callers": "tools are called by the client",
            "output_schema": "templates have no place for it",
        }
    )
    return Name(namespace, name), Tool(qualify(namespace, name), description, parameters)


def _read_choice(choice: Fields, toolbox: Toolbox, *, parallel: bool) -> tuple[ToolChoice, Toolbox]:
    kind = choice.choice("type", ("function", "allowed_tools"))
    if kind is None:
        raise bad_field("tool_choice.type", "it is required and missing", "add it")
    if kind == "function":
        name = _read_name(choice, toolbox)
        choice.finish()
        return ToolChoice("named", name, parallel), toolbox
    mode = choice.choice("mode", ("auto", "required")) or "auto"
    allowed = set()
    for index, entry in enumerate(choice.items("tools", required=True) or []):
        each = Fields(entry, at=f"tool_choice.tools[{index}]")
        each.choice("type", ("function",))
        allowed.add(_read_name(each, toolbox))
        each.finish()
    choice.finish()
    toolbox = Toolbox(tuple(tool for tool in toolbox.tools if tool.name in allowed), toolbox.names)
    return _choose(mode, toolbox, parallel=parallel), toolbox


def _read_name(choice: Fields, toolbox: Toolbox) -> str:
    name = qualify(choice.text("namespace"), choice.text("name", required=True) or "")
    if name not in toolbox.names:
        raise bad_field("tool_choice", f"no tool is named {name!r}"[:200], "name one of tools")
    return name


def _choose(kind: str, toolbox: Toolbox, *, parallel: bool) -> ToolChoice:
    if kind == "required":
        if not toolbox.tools:
            raise bad_field("tool_choice", "it asks for a call, and there are no tools", "add tools")
        return ToolChoice("required", parallel=parallel)
    return ToolChoice("none" if kind == "none" else "auto", parallel=parallel)

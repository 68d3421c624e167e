"""Tools: how a model is told of them, what forces a call, and how a call is read from an answer's text."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from typing import Any

from local_ai.engine.core.tokenizer import Marks, ModelWords
from local_ai.engine.text.conversation import Call, Tool, ToolChoice

log = logging.getLogger(__name__)

# For models whose template knows no tools. Source: the Hermes format, which Qwen's templates use too.
PLAIN_MARKS = Marks("<tool_call>", "</tool_call>")
_PLAIN_PROMPT = """You may call functions to help with the request. Their signatures, in <tools></tools>:
<tools>
{signatures}
</tools>
For each call, return a JSON object with its name and arguments in <tool_call></tool_call>:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def call_marks(words: ModelWords) -> Marks:
    """What encloses a call in this model's answers."""
    return words.calls or PLAIN_MARKS


def as_function(tool: Tool) -> dict[str, Any]:
    """Write a tool as templates expect it, which is OpenAI's shape."""
    function: dict[str, Any] = {"name": tool.name, "description": tool.description}
    return {"type": "function", "function": function | {"parameters": tool.parameters}}


def describe_plainly(tools: Sequence[Tool]) -> str:
    """Write the system text that tells a model of tools its template knows nothing about."""
    return _PLAIN_PROMPT.format(signatures="\n".join(json.dumps(as_function(tool)) for tool in tools))


def forced_schema(tools: Sequence[Tool], choice: ToolChoice) -> str:
    """Write the JSON Schema of one call of a tool, for `required` and `named`."""
    wanted = [tool for tool in tools if choice.kind != "named" or tool.name == choice.name]
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.parameters or {"type": "object"}},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in wanted
    ]
    return json.dumps(calls[0] if len(calls) == 1 else {"anyOf": calls})


def read_calls(body: str, words: ModelWords, tools: Sequence[Tool]) -> list[Call]:
    """Read what stood between the marks.

    Returns:
        The calls; empty if the text is none, as happens when an answer is cut off.
    """
    functions = [as_function(tool) for tool in tools]
    try:
        parsed = words.tokenizer.tool_parser(body, functions) if words.calls else json.loads(body)
        return [_make_call(item) for item in (parsed if isinstance(parsed, list) else [parsed])]
    except Exception as exc:  # mlx-lm's parsers raise whatever the text makes them
        log.warning("a tool call could not be read (%s)", type(exc).__name__)
        return []


def read_forced(text: str) -> list[Call]:
    """Read the call that a forced answer consists of."""
    try:
        return [_make_call(json.loads(text))]
    except (ValueError, KeyError, TypeError):
        return []


def _make_call(item: dict[str, Any]) -> Call:
    arguments = item.get("arguments", item.get("parameters", {}))
    text = (arguments or "{}") if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    if not isinstance(json.loads(text), dict):
        # A client passes the call back with the next turn, where templates walk through its arguments.
        raise TypeError("a call's arguments are not an object")
    return Call(str(item.get("id") or f"call_{uuid.uuid4().hex[:24]}"), str(item["name"]), text)

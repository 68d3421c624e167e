"""Tools: how a model is told of them, and how calls are read from an answer's text."""

import json
import logging
import uuid
from collections.abc import Sequence
from typing import Any

from local_ai.engine.formats.format import Format, RawCall, Tools
from local_ai.engine.text.conversation import Call, Tool

log = logging.getLogger(__name__)

# For models whose template knows no tools. Source: the Hermes format, which Qwen's templates use too.
_PLAIN_PROMPT = """You may call functions to help with the request. Their signatures, in <tools></tools>:
<tools>
{signatures}
</tools>
For each call, return a JSON object with its name and arguments in <tool_call></tool_call>:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def as_function(tool: Tool) -> dict[str, Any]:
    """Write a tool as templates expect it, which is OpenAI's shape."""
    function: dict[str, Any] = {"name": tool.name, "description": tool.description}
    return {"type": "function", "function": function | {"parameters": tool.parameters}}


def describe_plainly(tools: Sequence[Tool]) -> str:
    """Write the system text that tells a model of tools its template knows nothing about."""
    return _PLAIN_PROMPT.format(signatures="\n".join(json.dumps(as_function(tool)) for tool in tools))


def offered(tools: Sequence[Tool]) -> dict[str, dict[str, Any]]:
    """Map the names of tools to the schemas of their arguments."""
    return {tool.name: tool.parameters for tool in tools}


def read_calls(body: str, shown: str, form: Format, tools: Tools) -> list[Call | str]:
    """Read what stood between a format's marks: calls of offered tools, and texts in between.

    Args:
        shown: All that the model wrote, marks included: what the client sees where it is no call.

    Returns:
        In the order of writing; no tool that was not offered is called.
    """
    try:
        reading = form.calls.read(body, tools)
    except (ValueError, RecursionError) as exc:
        log.warning("a tool call could not be read (%s)", type(exc).__name__)
        return [form.without_control(shown)]
    if not any(call.name in tools for call in reading.calls):
        log.warning("a tool that was not offered was called")
        return [form.without_control(shown)]
    found: list[Call | str] = [
        _make_call(call, form) if call.name in tools else form.without_control(call.source)
        for call in reading.calls
    ]
    return [*found, form.without_control(reading.rest)] if reading.rest else found


def read_forced(text: str) -> list[Call]:
    """Read the call that a forced answer consists of; none where it was cut off."""
    try:
        call = json.loads(text)
        return [Call(new_id(), call["name"], json.dumps(call["arguments"], ensure_ascii=False))]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def new_id() -> str:
    """Make a call's id."""
    return f"call_{uuid.uuid4().hex[:24]}"


def _make_call(call: RawCall, form: Format) -> Call:
    call_id = call.id or (uuid.uuid4().hex[:9] if form.calls.short_ids else new_id())
    return Call(call_id, call.name, json.dumps(call.arguments, ensure_ascii=False))

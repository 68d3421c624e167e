"""OpenAI's messages in the core's terms."""

from __future__ import annotations

import json
from typing import Any

from local_ai.engine.api.fields import Fields
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Call, Message, Role

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_BLIND = "the models here read text only"


def read_messages(fields: Fields) -> tuple[Message, ...]:
    """Take the conversation; leading system and developer messages become one.

    Raises:
        EngineError: 400, naming the message and its field.
    """
    entries = fields.items("messages", required=True) or []
    if not entries:
        raise bad_field("messages", "it is empty", "add at least one message")
    messages = [_read_message(Fields(entry, at=f"messages[{i}]")) for i, entry in enumerate(entries)]
    return join_leading_system(messages)


def _read_message(fields: Fields) -> Message:
    role = fields.choice("role", _ROLES)
    if role is None:
        raise bad_field(fields.name("role"), "it is required and missing", "add it")
    fields.text("name")  # tells speakers apart; chat templates have no place for it
    message = Message(
        role=_ROLES[role],
        text=_read_content(fields, required=role == "user"),
        thought=_read_thought(fields) if role == "assistant" else "",
        calls=_read_calls(fields) if role == "assistant" else (),
        call_id=(fields.text("tool_call_id", required=True) or "") if role == "tool" else "",
    )
    if role == "assistant":
        fields.drop(("annotations",))
        fields.refuse({"audio": _BLIND, "function_call": "it was replaced by tool_calls"})
        if refusal := fields.text("refusal"):
            message = Message("assistant", refusal)
    fields.finish()
    return message


def _read_content(fields: Fields, *, required: bool) -> str:
    content = fields.any("content")
    if content is None:
        if required:
            raise bad_field(fields.name("content"), "it is required and missing", "add it")
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise fields.wrong("content", content, "a text or a list of parts")
    return "\n".join(_read_part(part, f"{fields.name('content')}[{i}]") for i, part in enumerate(content))


def _read_part(entry: object, at: str) -> str:
    part = Fields(entry, at=at)
    kind = part.text("type", required=True)
    if kind not in ("text", "refusal"):
        raise bad_field(at, f"{_BLIND}, and this part's type is {str(kind)[:40]!r}", "send text parts only")
    text = part.text(kind, required=True) or ""
    part.finish()
    return text


def _read_thought(fields: Fields) -> str:
    return fields.text("reasoning_content") or fields.text("reasoning") or ""


def _read_calls(fields: Fields) -> tuple[Call, ...]:
    calls = []
    for index, entry in enumerate(fields.items("tool_calls") or []):
        call = Fields(entry, at=f"{fields.name('tool_calls')}[{index}]")
        call.choice("type", ("function",))
        call.any("index")
        function = call.part("function")
        if function is None:
            raise bad_field(call.name("function"), "it is required and missing", "add it")
        name = function.text("name", required=True) or ""
        arguments = function.text("arguments") or "{}"
        if not _is_object(arguments):
            raise function.wrong("arguments", arguments, "a JSON object, as text")
        calls.append(Call(call.text("id") or "", name, arguments))
        function.finish()
        call.finish()
    return tuple(calls)


def _is_object(text: str) -> bool:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


def join_leading_system(messages: list[Message]) -> tuple[Message, ...]:
    """Make one message of all that lead as the system's."""
    # Many templates accept a single system message, at the head.
    count = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    if count < 2:
        return tuple(messages)
    joined = Message("system", "\n\n".join(message.text for message in messages[:count]))
    return (joined, *messages[count:])

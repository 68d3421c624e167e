"""The items of a response's input and output, in the core's terms."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from local_ai.engine.api.fields import Fields
from local_ai.engine.api.responses.tools import qualify
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Call, Message, Role

Json = dict[str, Any]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_BLIND = "the models here read text only"


def make_id(kind: str) -> str:
    """Name a new item of this type, as the API's own ids look."""
    return f"{_PREFIXES[kind]}_{uuid.uuid4().hex}"


def list_items(value: object) -> list[Any]:
    """Take a request's `input`: a text is one message of the user."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list):
        raise bad_field("input", "it must be a text or a list of items", "correct it")
    if not value:
        raise bad_field("input", "it is empty", "add at least one item")
    return value


def complete_item(item: Json) -> Json:
    """Fill in what a client may leave out, as the API shows items it was given: type, id, parts."""
    kind = item.get("type") or "message"
    whole = item | {"id": item.get("id") or make_id(kind), "type": kind, "status": "completed"}
    if kind == "message" and isinstance(item.get("content"), str):
        spoken = item.get("role") == "assistant"
        part: Json = {"type": "output_text" if spoken else "input_text", "text": item["content"]}
        whole["content"] = [part | {"annotations": []} if spoken else part]
    return whole


def read_item(entry: object, at: str) -> Message:
    """Read one item; a message of its own, to be joined with its neighbours.

    Raises:
        EngineError: 400, naming the item and its field.
    """
    item = Fields(entry, at=at)
    kind = item.text("type") or "message"
    if kind not in _READERS:
        raise bad_field(
            at,
            f"items of type {kind[:40]!r} cannot be read here",
            f"send items of type {', '.join(_READERS)} only",
        )
    item.drop(("id", "status"))
    message = _READERS[kind](item)
    item.finish()
    return message


def join_turns(messages: Sequence[Message]) -> list[Message]:
    """Join what the assistant thought, said and called in one turn, which are items of their own."""
    turns: list[Message] = []
    for message in messages:
        last = turns[-1] if turns else None
        if last and last.role == message.role == "assistant" and _goes_on(last, message):
            turns[-1] = replace(
                last,
                text=last.text or message.text,
                thought=last.thought or message.thought,
                calls=last.calls + message.calls,
            )
        else:
            turns.append(message)
    return turns


def _goes_on(turn: Message, item: Message) -> bool:
    """Whether an item belongs to the turn: a thought begins one, then it is text, then calls."""
    if item.calls:
        return True
    if item.text:
        return not turn.text and not turn.calls
    return not (turn.thought or turn.text or turn.calls)


def _read_message(item: Fields) -> Message:
    role = item.choice("role", _ROLES)
    if role is None:
        raise bad_field(item.name("role"), "it is required and missing", "add it")
    item.drop(("phase",))  # whether it was the last word of a turn: the order of items tells
    return Message(_ROLES[role], _read_content(item, "content", required=True))


def _read_call(item: Fields) -> Message:
    name = item.text("name", required=True) or ""
    arguments = item.text("arguments") or "{}"
    if not _is_object(arguments):
        raise item.wrong("arguments", arguments, "a JSON object, as text")
    call_id = item.text("call_id", required=True) or ""
    namespace = item.text("namespace")
    return Message("assistant", "", calls=(Call(call_id, qualify(namespace, name), arguments),))


def _read_output(item: Fields) -> Message:
    call_id = item.text("call_id", required=True) or ""
    return Message("tool", _read_content(item, "output", required=True), call_id=call_id)


def _read_reasoning(item: Fields) -> Message:
    thoughts = _read_texts(item, "content", ("reasoning_text", "text"))
    summary = _read_texts(item, "summary", ("summary_text",))
    item.drop(("encrypted_content",))  # made elsewhere: nothing in it can be read
    return Message("assistant", "", thought="\n".join(thoughts or summary))


_READERS: dict[str, Callable[[Fields], Message]] = {
    "message": _read_message,
    "function_call": _read_call,
    "function_call_output": _read_output,
    "reasoning": _read_reasoning,
}


def _read_content(item: Fields, field: str, *, required: bool) -> str:
    content = item.any(field)
    if isinstance(content, str):
        return content
    if content is None and required:
        raise bad_field(item.name(field), "it is required and missing", "add it")
    if not isinstance(content, list):
        raise item.wrong(field, content, "a text or a list of parts")
    return "\n".join(_read_part(part, f"{item.name(field)}[{i}]") for i, part in enumerate(content))


def _read_part(entry: object, at: str) -> str:
    part = Fields(entry, at=at)
    kind = part.text("type", required=True)
    if kind not in ("input_text", "output_text", "text", "refusal"):
        raise bad_field(at, f"{_BLIND}, and this part's type is {str(kind)[:40]!r}", "send text parts only")
    text = part.text("refusal" if kind == "refusal" else "text", required=True) or ""
    part.drop(("annotations", "logprobs", "prompt_cache_breakpoint"))  # prefixes are always remembered
    part.finish()
    return text


def _read_texts(item: Fields, field: str, kinds: tuple[str, ...]) -> list[str]:
    texts = []
    for index, entry in enumerate(item.items(field) or []):
        part = Fields(entry, at=f"{item.name(field)}[{index}]")
        part.choice("type", kinds)
        texts.append(part.text("text", required=True) or "")
        part.finish()
    return texts


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False

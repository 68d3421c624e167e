"""Anthropic's messages and content blocks in the core's terms."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from local_ai.engine.api.fields import Fields
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Call, Message, Role

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_BLIND = "the models here read text only"


def read_system(fields: Fields) -> str:
    """Take the system prompt: a text, or text blocks."""
    value = fields.any("system")
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise fields.wrong("system", value, "a text or a list of text blocks")
    return "\n\n".join(_read_text_block(entry, f"system[{i}]") for i, entry in enumerate(value))


def read_messages(fields: Fields) -> tuple[Message, ...]:
    """Take the conversation; a user's tool results become messages of their own.

    Raises:
        EngineError: 400, naming the message and its block.
    """
    entries = fields.items("messages", required=True) or []
    if not entries:
        raise bad_field("messages", "it is empty", "add at least one message")
    messages: list[Message] = []
    for index, entry in enumerate(entries):
        messages += _read_message(Fields(entry, at=f"messages[{index}]"))
    return tuple(messages)


def _read_message(fields: Fields) -> list[Message]:
    role = fields.choice("role", _ROLES)
    content = fields.any("content")
    fields.finish()
    at = fields.name("content")
    if role is None:
        raise bad_field(fields.name("role"), "it is required and missing", "add it")
    if isinstance(content, str):
        return [Message(_ROLES[role], content)]
    if not isinstance(content, list):
        raise fields.wrong("content", content, "a text or a list of blocks")
    if role == "assistant":
        return [_read_assistant(content, at)]
    if role == "system":
        text = "\n\n".join(_read_text_block(entry, f"{at}[{i}]") for i, entry in enumerate(content))
        return [Message("system", text)]
    return list(_read_user(content, at))


def _read_assistant(content: list[object], at: str) -> Message:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Call] = []

    def read_call(block: Fields) -> None:
        arguments = block.any("input")
        if not isinstance(arguments, dict):
            raise block.wrong("input", arguments, "an object")
        name = block.text("name", required=True) or ""
        calls.append(Call(block.text("id", required=True) or "", name, json.dumps(arguments)))
        block.any("caller")

    def read_thought(block: Fields) -> None:
        thoughts.append(block.text("thinking") or "")
        block.text("signature")  # made here, or elsewhere: either way only its text counts

    _read_blocks(
        content,
        at,
        {
            "text": lambda block: texts.append(_text_of(block)),
            "thinking": read_thought,
            "redacted_thinking": lambda block: block.drop(("data",)),  # nothing in it can be read
            "tool_use": read_call,
        },
    )
    return Message("assistant", "\n".join(texts), "\n".join(thoughts), tuple(calls))


def _read_user(content: list[object], at: str) -> Iterator[Message]:
    texts: list[str] = []
    results: list[Message] = []

    def read_result(block: Fields) -> None:
        call_id = block.text("tool_use_id", required=True) or ""
        failed = block.flag("is_error")
        text = _read_result(block)
        results.append(Message("tool", f"Error: {text}" if failed else text, call_id=call_id))

    _read_blocks(
        content,
        at,
        {
            "text": lambda block: texts.append(_text_of(block)),
            "document": lambda block: texts.append(_read_document(block)),
            "tool_result": read_result,
        },
    )
    yield from results
    if texts or not results:
        yield Message("user", "\n".join(texts))


def _read_blocks(content: list[object], at: str, readers: dict[str, Callable[[Fields], None]]) -> None:
    for index, entry in enumerate(content):
        block = Fields(entry, at=f"{at}[{index}]")
        kind = block.text("type", required=True) or ""
        if kind not in readers:
            why = _BLIND if kind == "image" else f"blocks of type {kind[:40]!r} cannot be read here"
            raise bad_field(f"{at}[{index}]", why, f"send blocks of type {', '.join(readers)} only")
        block.drop(("cache_control",))  # prefixes are always remembered
        readers[kind](block)
        block.finish()


def _text_of(block: Fields) -> str:
    block.drop(("citations",))
    return block.text("text", required=True) or ""


def _read_text_block(entry: object, at: str) -> str:
    texts: list[str] = []
    _read_blocks([entry], at, {"text": lambda block: texts.append(_text_of(block))})
    return texts[0]


def _read_result(block: Fields) -> str:
    content = block.any("content")
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise block.wrong("content", content, "a text or a list of text blocks")
    texts: list[str] = []
    _read_blocks(content, block.name("content"), {"text": lambda each: texts.append(_text_of(each))})
    return "\n".join(texts)


def _read_document(block: Fields) -> str:
    source = block.part("source")
    title, context = block.text("title"), block.text("context")
    block.drop(("citations",))
    if source is None or source.text("type") != "text":
        raise bad_field(block.name("source"), "documents are read as plain text only", "send a text source")
    source.text("media_type")
    data = source.text("data", required=True) or ""
    source.finish()
    return "\n".join(part for part in (title, context, data) if part)

"""Ollama's messages: what they may hold, and the same in the core's terms."""

import json
from collections.abc import Sequence
from typing import Annotated, Literal

from local_ai.engine.api.body import Body, Json, ListOf, Must, NoEffect, Text
from local_ai.engine.api.content import message_of
from local_ai.engine.api.openai.messages import join_leading_system
from local_ai.engine.pictures.picture import PictureSource
from local_ai.engine.text.conversation import Call, Message

Images = ListOf[str] | None  # in base64


class OllamaFunction(Body):
    """A call of a function: its name and arguments."""

    name: str
    arguments: Annotated[Json, Must("an object")] | None = None
    index: NoEffect = None


class OllamaCall(Body):
    """A call that the assistant made."""

    id: Text = None
    type: Literal["function"] | None = None
    function: OllamaFunction


class OllamaMessage(Body):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Text = None
    thinking: Text = None
    images: Images = None
    tool_calls: ListOf[OllamaCall] | None = None
    tool_name: Text = None
    tool_call_id: Text = None


def read_messages(messages: Sequence[OllamaMessage]) -> tuple[Message, ...]:
    """Say a conversation in the core's terms; leading system messages become one.

    Results need not say which call they answer: without an id, the first open call of that tool is meant, or
    of any tool where none is named.
    """
    unanswered: list[Call] = []
    read: list[Message] = []
    count = 0
    for index, message in enumerate(messages):
        calls = []
        for call in message.tool_calls or ():
            count += 1
            arguments = json.dumps(call.function.arguments or {}, ensure_ascii=False)
            calls.append(Call(call.id or f"call_{count}", call.function.name, arguments))
        unanswered += calls
        call_id = _answered(message, unanswered) if message.role == "tool" else ""
        read.append(
            message_of(
                message.role,
                pieces_of(message.content, message.images, f"messages[{index}]."),
                thought=message.thinking or "",
                calls=tuple(calls),
                call_id=call_id,
            )
        )
    return join_leading_system(read)


def pieces_of(text: str | None, images: Images, at: str = "") -> list[str | PictureSource]:
    """List pictures, and the text about them: Ollama shows them before it.

    Args:
        at: Place of the object that holds them, with a point at its end.
    """
    pictures = [
        PictureSource("base64", image, f"{at}images[{index}]") for index, image in enumerate(images or ())
    ]
    return [*pictures, *([text] if text else [])]


def _answered(message: OllamaMessage, unanswered: list[Call]) -> str:
    """Find the call that a result answers, and take it off the list; "" where there is none."""
    if message.tool_call_id:
        return message.tool_call_id
    named = [call for call in unanswered if call.name == message.tool_name]
    found = next(iter(named or unanswered), None)
    if found is None:
        return ""
    unanswered.remove(found)
    return found.id

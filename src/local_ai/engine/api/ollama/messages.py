"""Ollama's messages: what they may hold, and the same in the core's terms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Literal

from local_ai.engine.api.body import Body, Json, ListOf, Must, NoEffect, Text
from local_ai.engine.api.openai.messages import join_leading_system
from local_ai.engine.api.unreadable import BLIND, newest_of_user, placeholder
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Call, Message

Images = ListOf[str] | None


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

    @property
    def text(self) -> str:
        """Its words, and what stands for its pictures."""
        pictures = [placeholder("image")] * len(self.images or ())
        return "\n".join([*([self.content] if self.content else []), *pictures])


def read_messages(messages: Sequence[OllamaMessage]) -> tuple[Message, ...]:
    """Say a conversation in the core's terms; leading system messages become one.

    Results need not say which call they answer: without an id, the first open call of that tool is meant, or
    of any tool where none is named.

    Raises:
        ApiError: 400, the user's newest message holds a picture.
    """
    newest = newest_of_user([message.role for message in messages])
    if newest is not None:
        refuse_images(messages[newest].images, f"messages[{newest}].images")
    unanswered: list[Call] = []
    read: list[Message] = []
    count = 0
    for message in messages:
        calls = []
        for call in message.tool_calls or ():
            count += 1
            arguments = json.dumps(call.function.arguments or {}, ensure_ascii=False)
            calls.append(Call(call.id or f"call_{count}", call.function.name, arguments))
        unanswered += calls
        call_id = _answered(message, unanswered) if message.role == "tool" else ""
        read.append(Message(message.role, message.text, message.thinking or "", tuple(calls), call_id))
    return join_leading_system(read)


def refuse_images(images: Images, at: str) -> None:
    """Refuse pictures.

    Raises:
        ApiError: 400, there are some.
    """
    if images:
        raise bad_field(at, BLIND, "send text only")


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

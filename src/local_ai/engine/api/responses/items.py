"""The items of a response's input and output: what they may hold, and the same in the core's terms."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from local_ai.engine.api.body import (
    Body,
    Cacheable,
    Kinds,
    ListOf,
    Must,
    NoEffect,
    Reason,
    Refused,
    Text,
    TextOr,
    wrong,
)
from local_ai.engine.api.content import PicturePart, Unreadable, message_of, pieces_of
from local_ai.engine.api.custom_tools import custom_arguments
from local_ai.engine.api.openai.messages import (
    TEXT_ONLY,
    Arguments,
    Detail,
    RefusalPart,
    blind_to,
    refuse_media,
)
from local_ai.engine.api.problems import read_model
from local_ai.engine.api.responses.tools import ResponseTool, qualify
from local_ai.engine.pictures.picture import PictureSource
from local_ai.engine.text.conversation import Call, Message, Role
from local_ai.engine.text.left_out import is_placeholder, newest_of_user

Json = dict[str, Any]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
}


class _Item(Cacheable):
    id: NoEffect = None
    status: NoEffect = None


class ItemTextPart(Cacheable):
    """A piece of text, said by anybody."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: NoEffect = None
    logprobs: NoEffect = None
    prompt_cache_breakpoint: NoEffect = None  # prefixes are always remembered


class ItemImagePart(PicturePart):
    """A picture."""

    type: Literal["input_image", "computer_screenshot"]
    image_url: Text = None
    detail: Detail | None = None
    file_id: Annotated[Refused, Reason("no files are kept here", "send the picture in image_url")] = None
    prompt_cache_breakpoint: NoEffect = None

    @model_validator(mode="after")
    def _has_a_picture(self) -> ItemImagePart:
        if not self.image_url:
            raise wrong("image_url is required and missing", "add it")
        return self

    def picture(self, at: str) -> PictureSource:
        return PictureSource("url", self.image_url or "", at, is_small=self.detail == "low")


class ItemMediaPart(Unreadable):
    """A sound or a file."""

    type: Literal["input_file", "input_audio"]


_Part = Annotated[
    ItemTextPart | ItemImagePart | RefusalPart | ItemMediaPart,
    Field(discriminator="type"),
    Kinds(blind_to("{tag}"), TEXT_ONLY),
]
_Content = Annotated[TextOr[ListOf[_Part]], Must("a text or a list of parts")]


class MessageItem(_Item):
    """A message."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: _Content
    phase: NoEffect = None  # whether it was the last word of a turn: the order of items tells

    def message(self, at: str) -> Message:
        return message_of(_ROLES[self.role], pieces_of(self.content, f"{at}.content"))


class CallItem(_Item):
    """A call that the assistant made."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: Arguments | None = None
    namespace: Text = None

    def message(self, at: str) -> Message:
        name = qualify(self.namespace, self.name)
        return Message("assistant", "", calls=(Call(self.call_id, name, self.arguments or "{}"),))


class CustomCallItem(_Item):
    """A call with free text that the assistant made."""

    type: Literal["custom_tool_call"]
    call_id: str
    name: str
    input: str
    namespace: Text = None

    def message(self, at: str) -> Message:
        name = qualify(self.namespace, self.name)
        return Message("assistant", "", calls=(Call(self.call_id, name, custom_arguments(self.input)),))


class OutputItem(_Item):
    """A tool's answer."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str
    name: NoEffect = None  # the call tells
    output: _Content

    def message(self, at: str) -> Message:
        return message_of("tool", pieces_of(self.output, f"{at}.output"), call_id=self.call_id)


class ThoughtPart(Body):
    """A piece of a thought."""

    type: Literal["reasoning_text", "text"] | None = None
    text: str


class SummaryPart(Body):
    """A piece of a thought's summary."""

    type: Literal["summary_text"] | None = None
    text: str


class ReasoningItem(_Item):
    """Thoughts of the assistant."""

    type: Literal["reasoning"]
    content: ListOf[ThoughtPart] | None = None
    summary: ListOf[SummaryPart] | None = None
    encrypted_content: NoEffect = None  # made elsewhere: nothing in it can be read

    def message(self, at: str) -> Message:
        parts: Sequence[ThoughtPart | SummaryPart] = self.content or self.summary or ()
        return Message("assistant", "", thought="\n".join(part.text for part in parts))


class HostedItem(Unreadable):
    """A hosted tool's own work, and its results."""

    type: Literal[
        "web_search_call", "file_search_call", "computer_call", "computer_call_output",
        "image_generation_call", "code_interpreter_call", "local_shell_call", "local_shell_call_output",
        "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output", "mcp_list_tools",
        "mcp_approval_request", "mcp_approval_response", "mcp_call", "tool_search_call", "tool_search_output",
        "compaction",
    ]  # fmt: skip

    def message(self, at: str) -> Message:
        return Message("assistant", self.text)


class AdditionalToolsItem(_Item):
    """Tools among the items, as if they stood in `tools`."""

    type: Literal["additional_tools"]
    role: NoEffect = None
    tools: ListOf[ResponseTool]


class ReferenceItem(Body):
    """An item of a response that is kept."""

    type: Literal["item_reference"]
    id: str


_READABLE = (
    "message, function_call, function_call_output, custom_tool_call, custom_tool_call_output, reasoning"
)


_HOSTED = get_args(HostedItem.model_fields["type"].annotation)


def _kind_of(item: Any) -> str | None:
    if not isinstance(item, dict | Body):
        return None
    kind = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    if kind == "custom_tool_call_output":
        return "function_call_output"
    return "(hosted)" if kind in _HOSTED else str(kind or "message")


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[OutputItem, Tag("function_call_output")]
    | Annotated[CustomCallItem, Tag("custom_tool_call")]
    | Annotated[AdditionalToolsItem, Tag("additional_tools")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[ReferenceItem, Tag("item_reference")]
    | Annotated[HostedItem, Tag("(hosted)")],
    Discriminator(_kind_of),
    Kinds("items of type {tag} cannot be read here", f"send items of type {_READABLE} only"),
]


def make_id(kind: str) -> str:
    """Name a new item of this type, as the API's own ids look."""
    return f"{_PREFIXES.get(kind, kind)}_{uuid.uuid4().hex}"


def complete_item(item: Json) -> Json:
    """Fill in what a client may leave out, as the API shows items it was given: type, id, parts."""
    kind = item.get("type") or "message"
    whole = item | {"id": item.get("id") or make_id(kind), "type": kind, "status": "completed"}
    if kind == "message" and isinstance(item.get("content"), str):
        spoken = item.get("role") == "assistant"
        part: Json = {"type": "output_text" if spoken else "input_text", "text": item["content"]}
        whole["content"] = [part | {"annotations": []} if spoken else part]
    return whole


def read_item(item: Json, at: str) -> Message:
    """Read one item that is kept; a message of its own, to be joined with its neighbours.

    Raises:
        ApiError: 400, naming the item's field.
    """
    held = read_model(json.dumps({"item": item}).encode(), _Held).item
    assert not isinstance(held, ReferenceItem | AdditionalToolsItem), at
    return held.message(at)


class _Held(Body):
    item: Item


def join_turns(messages: Sequence[Message]) -> list[Message]:
    """Join what the assistant thought, said and called in one turn, which are items of their own."""
    turns: list[Message] = []
    for message in messages:
        last = turns[-1] if turns else None
        if last and last.role == message.role == "assistant" and _goes_on(last, message):
            turns[-1] = replace(
                last,
                text="\n".join(text for text in (last.text, message.text) if text),
                thought=last.thought or message.thought,
                calls=last.calls + message.calls,
            )
        else:
            turns.append(message)
    return turns


def _goes_on(turn: Message, item: Message) -> bool:
    """Return True if an item belongs to the turn: a thought begins one, then it is text, then calls."""
    if turn.has_pictures or item.has_pictures:
        return False
    if item.calls or is_placeholder(item.text):
        return True
    if item.text:
        return not turn.calls and (not turn.text or is_placeholder(turn.text.splitlines()[-1]))
    return not (turn.thought or turn.text or turn.calls)


def refuse_newest_media(items: Sequence[Any]) -> None:
    """Refuse what cannot be read where the user has just sent it: ApiError (400), naming the part."""
    newest = newest_of_user([_role_of(item) for item in items])
    if newest is not None:
        refuse_media(items[newest].content, f"input[{newest}].content")


def _role_of(item: Any) -> str:
    if isinstance(item, MessageItem):
        return item.role
    return "tool" if isinstance(item, OutputItem) else "assistant"

"""OpenAI's messages: what they may hold, and the same in the core's terms."""

import json
from collections.abc import Sequence
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

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
from local_ai.engine.api.content import BLIND, PicturePart, Unreadable, message_of, pieces_of
from local_ai.engine.api.custom_tools import custom_arguments
from local_ai.engine.errors import bad_field
from local_ai.engine.pictures.picture import PictureSource
from local_ai.engine.text.conversation import Call, Message, joined
from local_ai.engine.text.left_out import newest_of_user

TEXT_ONLY = "send parts of text and pictures only"


# How large a picture is shown: "low" is small, the others are as large as the settings allow.
Detail = Literal["auto", "low", "high", "original"]


def blind_to(kind: str) -> str:
    """Say why a part of this type is refused."""
    return f"{BLIND}, and this part's type is {kind}"


class TextPart(Cacheable):
    """A piece of text."""

    type: Literal["text"]
    text: str


class RefusalPart(Cacheable):
    """A piece of a refusal."""

    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        return self.refusal


class ImageUrl(Body):
    """The source of a picture."""

    url: Annotated[str, Field(min_length=1)]
    detail: Detail | None = None


class ImagePart(PicturePart):
    """A picture."""

    type: Literal["image_url"]
    image_url: Annotated[TextOr[ImageUrl], Must('an object, {"url": …}')]
    prompt_cache_breakpoint: NoEffect = None  # prefixes are always remembered

    def picture(self, at: str) -> PictureSource:
        if isinstance(self.image_url, str):
            return PictureSource("url", self.image_url, at)
        return PictureSource("url", self.image_url.url, at, is_small=self.image_url.detail == "low")


class MediaPart(Unreadable):
    """A sound, a film or a file."""

    type: Literal["input_audio", "file", "video_url", "audio_url"]


Part = Annotated[
    TextPart | ImagePart | RefusalPart | MediaPart,
    Field(discriminator="type"),
    Kinds(blind_to("{tag}"), TEXT_ONLY),
]
Content = Annotated[TextOr[ListOf[Part]], Must("a text or a list of parts")]


def object_as_text(text: str) -> str:
    """Check that a call's arguments are a JSON object: templates walk through them."""
    try:
        value: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise wrong(f"it must be a JSON object, as text, got {text[:80]!r}")
    return text or "{}"


Arguments = Annotated[str, AfterValidator(object_as_text)]


class CalledFunction(Body):
    """A call of a function: its name and arguments."""

    name: str
    arguments: Arguments | None = None


class FunctionCall(Cacheable):
    """A call of a function that the assistant made."""

    id: Text = None
    type: Literal["function"] | None = None
    index: NoEffect = None
    function: CalledFunction

    def call(self) -> Call:
        return Call(self.id or "", self.function.name, self.function.arguments or "{}")


class CalledCustom(Body):
    """A call of a custom tool: its name and text."""

    name: str
    input: str


class CustomCall(Cacheable):
    """A call of a custom tool that the assistant made."""

    id: Text = None
    type: Literal["custom"]
    index: NoEffect = None
    custom: CalledCustom

    def call(self) -> Call:
        return Call(self.id or "", self.custom.name, custom_arguments(self.custom.input))


def _kind_of_call(call: Any) -> str:
    kind = call.get("type") if isinstance(call, dict) else getattr(call, "type", None)
    return "custom" if kind == "custom" else "function"


ToolCall = Annotated[
    Annotated[FunctionCall, Tag("function")] | Annotated[CustomCall, Tag("custom")],
    Discriminator(_kind_of_call),
]


class SystemMessage(Cacheable):
    """A message of the system."""

    role: Literal["system", "developer"]
    content: Content | None = None
    name: Text = None  # tells speakers apart; chat templates cannot show it

    def message(self, at: str) -> Message:
        return message_of("system", pieces_of(self.content, f"{at}.content"))


class UserMessage(Cacheable):
    """A message of the user."""

    role: Literal["user"]
    content: Content
    name: Text = None

    def message(self, at: str) -> Message:
        return message_of("user", pieces_of(self.content, f"{at}.content"))


class AssistantMessage(Cacheable):
    """A turn of the assistant: thoughts, text and calls."""

    role: Literal["assistant"]
    content: Content | None = None
    name: Text = None
    reasoning_content: Text = None
    reasoning: Text = None
    refusal: Text = None
    tool_calls: ListOf[ToolCall] | None = None
    annotations: NoEffect = None
    audio: Annotated[Refused, Reason(BLIND)] = None
    function_call: Annotated[Refused, Reason("it was replaced by tool_calls")] = None

    def message(self, at: str) -> Message:
        if self.refusal:
            return Message("assistant", self.refusal)
        return message_of(
            "assistant",
            pieces_of(self.content, f"{at}.content"),
            thought=self.reasoning_content or self.reasoning or "",
            calls=tuple(each.call() for each in self.tool_calls or ()),
        )


class ToolMessage(Cacheable):
    """The result of a tool call."""

    role: Literal["tool"]
    tool_call_id: str
    content: Content | None = None
    name: Text = None

    def message(self, at: str) -> Message:
        return message_of("tool", pieces_of(self.content, f"{at}.content"), call_id=self.tool_call_id)


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


def read_messages(messages: Sequence[Any]) -> tuple[Message, ...]:
    """Say a conversation in the core's terms; leading system and developer messages become one.

    Raises:
        ApiError: 400, the user's newest message holds what cannot be read.
    """
    newest = newest_of_user([each.role for each in messages])
    if newest is not None:
        refuse_media(messages[newest].content, f"messages[{newest}].content")
    return join_leading_system([each.message(f"messages[{at}]") for at, each in enumerate(messages)])


def refuse_media(content: Any, at: str) -> None:
    """Refuse a content that holds what cannot be read: ApiError (400), naming the part."""
    for index, part in enumerate(() if isinstance(content, str) else content):
        if isinstance(part, Unreadable):
            raise bad_field(f"{at}[{index}]", blind_to(repr(part.type)), TEXT_ONLY)


def join_leading_system(messages: list[Message]) -> tuple[Message, ...]:
    """Make one message of all that lead as the system's."""
    # Many templates accept a single system message, at the head.
    count = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    if count < 2:
        return tuple(messages)
    return (reduce(joined, messages[:count]), *messages[count:])

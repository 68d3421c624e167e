"""Anthropic's messages and content blocks: what they may hold, and the same in the core's terms."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from local_ai.engine.api.body import Body, Cacheable, Flag, Json, Kinds, ListOf, Must, NoEffect, Text, TextOr
from local_ai.engine.api.content import PicturePart, Unreadable, message_of, piece_of, pieces_of
from local_ai.engine.errors import bad_field
from local_ai.engine.pictures.picture import PictureSource
from local_ai.engine.text.conversation import Call, Message
from local_ai.engine.text.left_out import newest_of_user, placeholder

_PLAIN_ONLY, _SEND_PLAIN = "documents are read as plain text only", "send a text source"
_USERS = "text, image, document, tool_result"
_ASSISTANTS = "text, thinking, redacted_thinking, tool_use"


def _kinds(readable: str) -> Kinds:
    return Kinds("blocks of type {tag} cannot be read here", f"send blocks of type {readable} only")


class TextBlock(Cacheable):
    """A piece of text."""

    type: Literal["text"]
    text: str
    citations: NoEffect = None


class PlainSource(Body):
    """A document's text."""

    type: Literal["text"]
    media_type: Text = None
    data: str


class FileSource(Unreadable):
    """A document of another kind: a PDF's bytes, or where it is."""

    type: Literal["base64", "url", "file", "content"]


class DocumentBlock(Cacheable):
    """A document; one in plain text can be read."""

    type: Literal["document"]
    source: Annotated[
        PlainSource | FileSource,
        Field(discriminator="type"),
        Kinds(_PLAIN_ONLY, _SEND_PLAIN),
    ]
    title: Text = None
    context: Text = None
    citations: NoEffect = None

    @property
    def text(self) -> str:
        said = self.source.data if isinstance(self.source, PlainSource) else placeholder(self.type)
        return "\n".join(part for part in (self.title, self.context, said) if part)


class BytesSource(Body):
    """A picture's file."""

    type: Literal["base64"]
    media_type: Annotated[Text, Must("a media type, such as image/png")] = None
    data: str


class UrlSource(Body):
    """The source of a picture."""

    type: Literal["url"]
    url: Annotated[str, Field(min_length=1)]


class ImageBlock(PicturePart):
    """A picture."""

    type: Literal["image"]
    source: Annotated[
        BytesSource | UrlSource,
        Field(discriminator="type"),
        Kinds("no files are kept here", "send a base64 source"),
    ]
    transformations: NoEffect = None  # what Anthropic's servers do to it before

    def picture(self, at: str) -> PictureSource:
        value = self.source.data if isinstance(self.source, BytesSource) else self.source.url
        return PictureSource(self.source.type, value, at)


class MediaBlock(Unreadable):
    """A reference to a file or tool that is kept elsewhere."""

    type: Literal["container_upload", "search_result", "tool_reference"]


class ServerToolBlock(Unreadable):
    """A call of a tool on Anthropic's servers, or its result."""

    type: Literal[
        "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
        "bash_code_execution_tool_result", "text_editor_code_execution_tool_result",
        "tool_search_tool_result", "advisor_tool_result", "mcp_tool_use", "mcp_tool_result",
        "container_upload", "compaction",
    ]  # fmt: skip


class ThinkingBlock(Cacheable):
    """The assistant's reasoning; made here or elsewhere, only its text counts."""

    type: Literal["thinking"]
    thinking: Text = None
    signature: Text = None


class RedactedBlock(Cacheable):
    """A thought that is unreadable, and is left out."""

    type: Literal["redacted_thinking"]
    data: NoEffect = None


class ToolUseBlock(Cacheable):
    """A call that the assistant made."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: Json
    caller: NoEffect = None


_ResultPart = Annotated[
    TextBlock | ImageBlock | DocumentBlock | MediaBlock,
    Field(discriminator="type"),
    _kinds("text, image, document"),
]


class ToolResultBlock(Cacheable):
    """The result of a tool call."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: Annotated[TextOr[ListOf[_ResultPart]], Must("a text or a list of blocks")] | None = None
    is_error: Flag = None

    def message(self, at: str) -> Message:
        pieces = pieces_of(self.content, f"{at}.content")
        if self.is_error:
            first = pieces.pop(0) if pieces and isinstance(pieces[0], str) else ""
            pieces.insert(0, f"Error: {first}")
        return message_of("tool", pieces, call_id=self.tool_use_id)


_UserBlock = Annotated[
    TextBlock | ImageBlock | DocumentBlock | ToolResultBlock | MediaBlock,
    Field(discriminator="type"),
    _kinds(_USERS),
]
_AssistantBlock = Annotated[
    TextBlock | ThinkingBlock | RedactedBlock | ToolUseBlock | ServerToolBlock,
    Field(discriminator="type"),
    _kinds(_ASSISTANTS),
]
SystemText = Annotated[TextOr[ListOf[TextBlock]], Must("a text or a list of text blocks")]


class UserTurn(Body):
    """A turn of the user, with the results of tools."""

    role: Literal["user"]
    content: Annotated[TextOr[ListOf[_UserBlock]], Must("a text or a list of blocks")]

    def messages(self, at: str) -> Iterator[Message]:
        """Give out tool results as messages of their own, first."""
        if isinstance(self.content, str):
            yield Message("user", self.content)
            return
        results: list[Message] = []
        pieces: list[str | PictureSource] = []
        for index, block in enumerate(self.content):
            where = f"{at}.content[{index}]"
            if isinstance(block, ToolResultBlock):
                results.append(block.message(where))
            else:
                pieces.append(piece_of(block, where))
        yield from results
        if pieces or not results:
            yield message_of("user", pieces)


class AssistantTurn(Body):
    """A turn of the assistant: thoughts, text and calls."""

    role: Literal["assistant"]
    content: Annotated[TextOr[ListOf[_AssistantBlock]], Must("a text or a list of blocks")]

    def messages(self, at: str) -> Iterator[Message]:
        """Give out one message."""
        blocks = [] if isinstance(self.content, str) else self.content
        texts = [block.text for block in blocks if isinstance(block, TextBlock | ServerToolBlock)]
        thoughts = [block.thinking or "" for block in blocks if isinstance(block, ThinkingBlock)]
        calls = tuple(
            Call(block.id, block.name, json.dumps(block.input))
            for block in blocks
            if isinstance(block, ToolUseBlock)
        )
        text = self.content if isinstance(self.content, str) else "\n".join(texts)
        yield Message("assistant", text, "\n".join(thoughts), calls)


class SystemTurn(Body):
    """A system message in mid-conversation."""

    role: Literal["system"]
    content: SystemText

    def messages(self, at: str) -> Iterator[Message]:
        """Give out one message."""
        yield Message("system", read_system(self.content))


Turn = Annotated[UserTurn | AssistantTurn | SystemTurn, Field(discriminator="role")]


def read_system(content: Any) -> str:
    """Join the system prompt's blocks."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n\n".join(block.text for block in content)


def read_turns(system: Any, turns: Sequence[Any]) -> tuple[Message, ...]:
    """Say a conversation in the core's terms, the system prompt first.

    Raises:
        ApiError: 400, the user's newest message holds what cannot be read.
    """
    newest = newest_of_user([_role_of(turn) for turn in turns])
    if newest is not None:
        _refuse_unreadable(turns[newest].content, f"messages[{newest}].content")
    text = read_system(system)
    messages = [
        message for index, turn in enumerate(turns) for message in turn.messages(f"messages[{index}]")
    ]
    return (Message("system", text), *messages) if text else tuple(messages)


def _role_of(turn: Any) -> str:
    """Tell whose turn it is; beside a tool's result, a picture is the tool's."""
    if isinstance(turn.content, list) and any(isinstance(block, ToolResultBlock) for block in turn.content):
        return "tool"
    return str(turn.role)


def _refuse_unreadable(content: Any, at: str) -> None:
    blocks = [] if isinstance(content, str) else content
    for index, block in enumerate(blocks):
        if isinstance(block, DocumentBlock) and isinstance(block.source, FileSource):
            raise bad_field(f"{at}[{index}].source", _PLAIN_ONLY, _SEND_PLAIN)
        if isinstance(block, Unreadable):
            why = f"blocks of type {block.type!r} cannot be read here"
            raise bad_field(f"{at}[{index}]", why, f"send blocks of type {_USERS} only")

"""Contents that have parts: their texts and pictures, in the core's terms.

A short text replaces sounds, files and hosted tools' blocks, which no model here can read, so that a
conversation that contains one can continue. Only the user's own newest message may not hold any: there it is
what the answer should be about.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import ConfigDict

from local_ai.engine.api.body import Body, Cacheable
from local_ai.engine.pictures.picture import PictureSource
from local_ai.engine.text.conversation import Message, Role
from local_ai.engine.text.left_out import placeholder

BLIND = "the models here read text and pictures only"


class PicturePart(Cacheable):
    """A part that shows a picture; every other one has a text."""

    def picture(self, at: str) -> PictureSource:
        """Say where its file is; `at` is the place of the part in the request."""
        raise NotImplementedError


class Unreadable(Body):
    """A part of a conversation that no model here can read, whatever it holds."""

    model_config = ConfigDict(extra="allow")

    type: str

    @property
    def text(self) -> str:
        """The text in its place: always the same, so that the prompt stays a remembered one."""
        return placeholder(self.type)


def pieces_of(content: Any, at: str) -> list[str | PictureSource]:
    """List the texts and pictures of a content, a text or a list of parts, at this place of the request."""
    if content is None or isinstance(content, str):
        return [content] if content else []
    return [piece_of(part, f"{at}[{index}]") for index, part in enumerate(content)]


def piece_of(part: Any, at: str) -> str | PictureSource:
    """Return the text or the picture of one part."""
    return part.picture(at) if isinstance(part, PicturePart) else str(part.text)


def message_of(role: Role, pieces: Iterable[str | PictureSource], **about: Any) -> Message:
    """Make a message of a content's pieces; neighbouring texts are joined by a line's end.

    Args:
        about: The rest of the `Message`.
    """
    parts: list[str | PictureSource] = []
    for piece in pieces:
        if isinstance(piece, str) and parts and isinstance(parts[-1], str):
            parts[-1] = f"{parts[-1]}\n{piece}"
        else:
            parts.append(piece)
    texts = [part for part in parts if isinstance(part, str)]
    shown = tuple(parts) if len(texts) < len(parts) else ()
    return Message(role, "\n".join(texts), parts=shown, **about)

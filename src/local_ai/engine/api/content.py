"""A message whose content has parts: its texts and pictures, in the core's terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from local_ai.engine.pictures.source import PictureSource
from local_ai.engine.text.conversation import Message, Role


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

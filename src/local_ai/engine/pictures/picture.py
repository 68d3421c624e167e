"""A picture of a request: as the client sent it, and decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal


@dataclass(frozen=True)
class PictureSource:
    """The place of a picture's file: the request itself, or an address.

    Args:
        kind: "base64" or "url"; a `data:` URL is a URL, too.
        value: The base64 text, or the URL.
        place: Where in the request it stands, such as `messages[0].content[1]`.
        is_small: Whether the client wants it small: fewer tokens, fewer details.
    """

    kind: Literal["base64", "url"]
    value: str
    place: str
    is_small: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture as a model's processor takes it: upright, without transparency.

    Args:
        rgb: 8 bit each of red, green and blue, row by row from the top: `3 * width * height` bytes.
        width: Pixels of a row.
        height: Rows.
        place: Where in the request it stood, such as `messages[0].content[1]`.
    """

    rgb: bytes
    width: int
    height: int
    place: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its size and pixels, in hex: the same picture has the same, wherever it stood."""
        return hashlib.sha256(b"%d %d\n" % (self.width, self.height) + self.rgb).hexdigest()

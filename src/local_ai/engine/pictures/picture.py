"""A picture of a request: as the client sent it, and decoded."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal


@dataclass(frozen=True)
class PictureSource:
    """The place of a picture's file: the request itself, or an address."""

    kind: Literal["base64", "url"]  # a `data:` URL is a URL, too
    value: str  # the base64 text, or the URL
    place: str  # in the request, such as `messages[0].content[1]`
    is_small: bool = False  # as the client wants it: fewer tokens, fewer details


@dataclass(frozen=True)
class Picture:
    """A picture as a model's processor takes it: upright, without transparency."""

    rgb: bytes  # 8 bit each of red, green and blue, row by row from the top: `3 * width * height`
    width: int  # pixels of a row
    height: int  # rows
    place: str  # in the request, such as `messages[0].content[1]`

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its size and pixels, in hex: the same picture has the same, wherever it stood."""
        return hashlib.sha256(b"%d %d\n" % (self.width, self.height) + self.rgb).hexdigest()

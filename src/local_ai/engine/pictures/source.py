"""A picture of a request, as the client sent it."""

from __future__ import annotations

from dataclasses import dataclass
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

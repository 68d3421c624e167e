"""The messages between the engine and a picture's process: bytes, and nothing of the answer is unpickled.

A request is pickled. An answer is one byte, which says its kind, and the picture's width, height and pixels,
or three lines: why there is no picture, what to do, and OpenAI's code for it.
"""

import struct
from dataclasses import dataclass

PICTURE, REFUSED, NOT_INSTALLED = b"p", b"r", b"n"

_SIZE = struct.Struct(">II")


@dataclass(frozen=True)
class Bounds:
    """The bounds of a picture."""

    most_bytes: int  # of its file
    most_pixels: int
    most_edge: int  # a longer edge is scaled down to it, in pixels


@dataclass(frozen=True)
class Asked:
    """A picture to decode."""

    content: bytes
    is_base64: bool
    bounds: Bounds


def write_picture(width: int, height: int, rgb: bytes) -> bytes:
    """Write the answer that has one."""
    return PICTURE + _SIZE.pack(width, height) + rgb


def read_picture(answer: bytes) -> tuple[int, int, bytes]:
    """Return its width, height and pixels."""
    width, height = _SIZE.unpack_from(answer, 1)
    return width, height, answer[1 + _SIZE.size :]


def write_refusal(why: str, fix: str, code: str) -> bytes:
    """Write the answer that has none."""
    return REFUSED + "\n".join((why, fix, code)).encode()


def read_refusal(answer: bytes) -> tuple[str, str, str]:
    """Return why, what to do, and OpenAI's code for it."""
    why, fix, code = answer[1:].decode().split("\n")
    return why, fix, code

"""The messages between the engine and a picture's process: bytes, and nothing of the answer is unpickled.

A request is a head in JSON, a line's end, and the file, or its base64 text. An answer is one byte, which says
its kind, and the picture's width, height and pixels, or two lines: why there is no picture, and what to do.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass

PICTURE, REFUSED, NOT_INSTALLED = b"p", b"r", b"n"

_SIZE = struct.Struct(">II")
_LEAST_MEMORY = 256_000_000
# Pillow takes 4 bytes for a pixel whatever its mode, and has it up to three times while it converts it.
_MEMORY_PER_PIXEL = 12
_MEMORY_PER_BYTE = 4  # the base64 text, the file, and what decoders buffer


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


def write_request(asked: Asked) -> bytes:
    """Write a request."""
    head = {"is_base64": asked.is_base64, **asdict(asked.bounds)}
    return json.dumps(head).encode() + b"\n" + asked.content


def read_request(request: bytes) -> Asked:
    """Read it."""
    head, _, content = request.partition(b"\n")
    fields = json.loads(head)
    return Asked(content, fields.pop("is_base64"), Bounds(**fields))


def most_memory(request: bytes) -> int:
    """Bytes that one picture may take, beyond what the process has when it begins."""
    head = json.loads(request[: request.index(b"\n")])
    return _LEAST_MEMORY + _MEMORY_PER_PIXEL * int(head["most_pixels"]) + _MEMORY_PER_BYTE * len(request)


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

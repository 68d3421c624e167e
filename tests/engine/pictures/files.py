"""Files of pictures, made on the spot."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)


def written(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Write a picture as a file of this kind."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(colour: tuple[int, ...] = RED, size: tuple[int, int] = (8, 6), kind: str = "PNG") -> bytes:
    """A file of one colour."""
    return written(Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour), kind)


def claims(width: int, height: int) -> bytes:
    """A PNG whose head says so many pixels; it has hardly any."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(bytes(10)))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def data_url(file: bytes, kind: str = "image/png") -> str:
    """Write a file as a `data:` URL."""
    return f"data:{kind};base64,{base64.b64encode(file).decode()}"

"""The digest by which two machines have the same model."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

_DIGITS = 24
_MOST_HEADER_BYTES = 100_000_000


def model_digest(folder: Path) -> str:
    """Name a model by its config.json, and by its weights' names, sizes and headers, wherever it lies.

    Reading whole weights would take minutes; a header names each tensor with its shape, type and place.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f" {file.name} {file.stat().st_size} ".encode())
        with file.open("rb") as source:
            (length,) = struct.unpack("<Q", source.read(8).ljust(8, b"\0"))
            digest.update(source.read(min(length, _MOST_HEADER_BYTES)))
    return digest.hexdigest()[:_DIGITS]

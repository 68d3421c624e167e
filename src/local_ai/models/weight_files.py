"""A check that weight files are whole, by their headers alone.

Source: https://github.com/huggingface/safetensors#format: eight bytes with the header's length, the header as
JSON with each tensor's place, then the tensors.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from local_ai.models.places import is_weights
from local_ai.printable import printable

_MOST_HEADER_BYTES = 100_000_000  # the format's own bound


def damaged_weights(folder: Path) -> str:
    """Say which weight file of a model is not whole; "" where all are."""
    for name in sorted(filter(is_weights, os.listdir(folder))):  # noqa: PTH208
        if reason := _fault_of(folder / name):
            return f"{printable(name)} {reason}"
    return ""


def tensor_names(file: Path) -> frozenset[str]:
    """Name the tensors of a weight file; none where it is not whole. A file that stays is read once."""
    try:
        stat = file.stat()
    except OSError:
        return frozenset()
    return _tensor_names(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _tensor_names(file: Path, mtime_ns: int, size: int) -> frozenset[str]:
    if _fault_of(file):
        return frozenset()
    header, _ = _read_header(file)
    return frozenset(header) - {"__metadata__"}


def _read_header(file: Path) -> tuple[dict[str, Any], int]:
    """Read a weight file's header and its length in bytes."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > _MOST_HEADER_BYTES:
            raise ValueError("no header is that long")
        return json.loads(stream.read(length)), length


def _fault_of(file: Path) -> str:
    try:
        header, length = _read_header(file)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        wanted = 8 + length + max(ends, default=0)
        size = file.stat().st_size
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "is not a safetensors file"
    return f"has {size} bytes, and its header says {wanted}" if size != wanted else ""

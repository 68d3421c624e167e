"""Weight files, which are told whole by their headers alone.

Eight bytes with the header's length, the header as JSON with each tensor's place, then the tensors.

Source: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

_MOST_HEADER_BYTES = 100_000_000  # the format's own bound


def raw_header(file: Path) -> bytes:
    """Read a file's header as it stands there; less of it where the file ends sooner.

    Raises:
        OSError: The file cannot be read.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        return stream.read(min(length, _MOST_HEADER_BYTES))


def tensor_names(file: Path) -> frozenset[str]:
    """Name the tensors of a weight file; none where it is not whole. A file that stays is read once."""
    try:
        stat = file.stat()
    except OSError:
        return frozenset()
    return _tensor_names(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _tensor_names(file: Path, mtime_ns: int, size: int) -> frozenset[str]:
    if weights_fault(file):
        return frozenset()
    return frozenset(json.loads(raw_header(file))) - {"__metadata__"}


def weights_fault(file: Path) -> str:
    """Say what is wrong with a weight file, as "is not a safetensors file"; "" where it is whole."""
    try:
        raw = raw_header(file)
        ends = [entry["data_offsets"][1] for name, entry in json.loads(raw).items() if name != "__metadata__"]
        wanted = 8 + len(raw) + max(ends, default=0)
        size = file.stat().st_size
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "is not a safetensors file"
    return f"has {size} bytes, and its header says {wanted}" if size != wanted else ""

"""Weight files, which are told whole by their headers alone.

Eight bytes with the header's length, the header as JSON with each tensor's place, then the tensors.

Source: https://github.com/huggingface/safetensors#format.
"""

import json
from functools import lru_cache
from pathlib import Path

# Every one is looked up by the thread that generates; the largest models known have 140,000 in many files.
MOST_TENSORS = 200_000
_MOST_HEADER_BYTES = 64 * 1024 * 1024  # of so many tensors with long names


def raw_header(file: Path) -> bytes:
    """Read a file's header as it stands there; less of it where the file ends sooner.

    Raises:
        OSError: The file cannot be read.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        return stream.read(min(length, _MOST_HEADER_BYTES))


def tensor_names(file: Path) -> frozenset[str]:
    """Name the tensors of a weight file; none where it is not whole."""
    try:
        return _look(file)[1]
    except OSError:
        return frozenset()


def weights_fault(file: Path) -> str:
    """Say what is wrong with a weight file, as "is not a safetensors file"; "" where it is whole."""
    try:
        return _look(file)[0]
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"


def _look(file: Path) -> tuple[str, frozenset[str]]:
    """Say what is wrong with a file, or name its tensors; one that stays is read once."""
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _read(file: Path, mtime_ns: int, size: int) -> tuple[str, frozenset[str]]:
    raw = raw_header(file)
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        if len(header) > MOST_TENSORS:
            return f"has {len(header)} tensors, and no model has more than {MOST_TENSORS}", frozenset()
        wanted = 8 + len(raw) + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "is not a safetensors file", frozenset()
    if size != wanted:
        return f"has {size} bytes, and its header says {wanted}", frozenset()
    return "", frozenset(header)

"""One file of arrays, in the safetensors format: written in one step, and checked when it is read.

Written and read without mlx: its arrays belong to the generating thread, and these files are written and read
beside it.

Source: https://github.com/huggingface/safetensors (format: length of the header, header, bytes).
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local_ai.atomic_file import replace_file

_MOST_HEADER_BYTES = 10_000_000
_RAW: dict[int, type[Any]] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_ITEM_BYTES = {"BOOL": 1, "U8": 1, "F16": 2, "BF16": 2, "F32": 4, "I32": 4, "U32": 4, "I64": 8}


@dataclass(frozen=True)
class Tensor:
    """An array's bits; numpy has no word for some types of numbers."""

    dtype: str  # as safetensors names it: F32, BF16, …
    bits: NDArray[Any]  # unsigned integers of the same size

    @classmethod
    def over(cls, buffer: Any, dtype: str, shape: tuple[int, ...]) -> Tensor:
        """Look at a buffer without a copy."""
        bits = np.frombuffer(buffer, dtype=_RAW[_ITEM_BYTES[dtype]])
        return cls(dtype, bits.reshape(shape))


@dataclass(frozen=True)
class Block:
    """The content of one file."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


class DamagedBlock(Exception):
    """A file is not what was written."""


def write_block(file: Path, block: Block) -> int:
    """Write a file in one step, readable by the owner alone; return its size in bytes.

    It is not synchronised: after a power cut it may be damaged, which its checksum tells.

    Raises:
        OSError: It cannot be written; nothing is left of it.
    """
    parts = [np.ascontiguousarray(tensor.bits) for tensor in block.tensors.values()]
    checksum, header, end = 0, {}, 0
    for (name, tensor), part in zip(block.tensors.items(), parts, strict=True):
        checksum = zlib.crc32(_bytes_of(part), checksum)
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.bits.shape),
            "data_offsets": [end, end + part.nbytes],
        }
        end += part.nbytes
    metadata = {**block.metadata, "name": file.name, "crc32": f"{checksum:08x}"}
    head = json.dumps({"__metadata__": metadata, **header}).encode()
    head += b" " * (-len(head) % 8)
    replace_file(file, [struct.pack("<Q", len(head)), head, *map(_bytes_of, parts)])
    return 8 + len(head) + end


def _bytes_of(part: NDArray[Any]) -> memoryview:
    return part.data.cast("B") if part.size else memoryview(b"")


def read_block(file: Path) -> Block:
    """Read a file whole, and check that it is what was written.

    Raises:
        FileNotFoundError: There is none.
        DamagedBlock: It is not what was written, or cannot be read.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb", buffering=0) as source:
            content = source.readall()
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise DamagedBlock(exc.strerror) from exc
    if content is None or len(content) < 8:
        raise DamagedBlock("it ends within its header")
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(_MOST_HEADER_BYTES, len(content) - 8):
        raise DamagedBlock("it ends within its header")
    try:
        header = json.loads(content[8 : 8 + length])
        metadata = {str(key): str(value) for key, value in header.pop("__metadata__").items()}
        tensors, end = {}, 0
        data = memoryview(content)[8 + length :]
        for name, entry in header.items():
            start, stop = entry["data_offsets"]
            if start != end:
                raise DamagedBlock("its header does not fit its content")
            tensors[name] = Tensor.over(data[start:stop], entry["dtype"], tuple(entry["shape"]))
            end = stop
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DamagedBlock("its header does not fit its content") from exc
    if end != len(data):
        raise DamagedBlock(f"it has {len(data)} bytes of content instead of {end}")
    if metadata.get("name") != file.name:
        raise DamagedBlock("it was written under another name")
    if metadata.get("crc32") != f"{zlib.crc32(data):08x}":
        raise DamagedBlock("its checksum differs")
    return Block(tensors, metadata)

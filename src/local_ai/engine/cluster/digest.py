"""A model on several machines: found on each, and the same by its digest."""

import hashlib
from pathlib import Path

from local_ai.models.library import read_library
from local_ai.models.weight_files import raw_header
from local_ai.settings.paths import find_paths

_DIGITS = 24
_SAMPLES = 64  # of each file of weights, evenly spread
_SAMPLE_BYTES = 4096


def find_model(name: str | None, folder: Path | None) -> Path | None:
    """Find a model's folder: where the first host has it, else by its name among this host's models."""
    if folder is not None and (folder / "config.json").is_file():
        return folder
    found = read_library(find_paths(), configured=None).find(name) if name is not None else None
    return found.path if found else None


def model_digest(folder: Path) -> str:
    """Name a model by its config.json, and its weights' names, sizes, headers and samples.

    Reading whole weights would take minutes; a header names each tensor with its shape, type and place.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f" {file.name} {size} ".encode())
        digest.update(raw_header(file))
        with file.open("rb") as weights:
            for number in range(_SAMPLES):
                weights.seek(max(0, size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
                digest.update(weights.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:_DIGITS]

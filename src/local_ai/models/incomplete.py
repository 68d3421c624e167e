"""The reasons for which a folder that looks like a model cannot be used as it is."""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from local_ai.models.places import PARTIAL_START, is_weights, read_json, read_object
from local_ai.models.weight_files import tensor_names, weights_fault
from local_ai.printable import printable

# What downloads that are under way are called by huggingface_hub and browsers.
_PARTIAL = (".incomplete", ".part", ".download", ".crdownload")
_SHARD = re.compile(r"-of-(\d+)\.")
_LAYER = re.compile(r"\.(\d+)\.")  # the first number of a tensor's name is its layer's
_READ_FOLDERS = ("1_Pooling", "additional_chat_templates")  # of which loaders read files
_OTHER_WEIGHTS = {
    ".gguf": "GGUF",
    ".bin": "PyTorch's (.bin)",
    ".pt": "PyTorch's (.pt)",
    ".pth": "PyTorch's (.pth)",
    ".npz": "NumPy's (.npz)",
    ".h5": "TensorFlow's (.h5)",
    ".msgpack": "Flax' (.msgpack)",
    ".onnx": "ONNX",
}


class Fault(StrEnum):
    """The kind of thing that keeps a folder from being used as a model."""

    UNFINISHED = "unfinished"  # its download
    ADAPTER = "adapter"
    FORMAT = "format"
    FILES = "files"  # some are missing
    CONFIG = "config"  # its config.json cannot be read
    SPECIAL = "special"  # one of its files is a pipe, a socket or a device


def find_fault(folder: Path) -> tuple[Fault, str] | None:
    """Tell what keeps a folder from being used, and say it; None for a folder that is no model at all."""
    names = set(_entries(folder))
    if special := _special_of(folder):
        return Fault.SPECIAL, f"{printable(special)} is a pipe, a socket or a device"
    if _has_partial_files(folder, names):
        return Fault.UNFINISHED, "its download is not finished"
    missing = missing_weights(folder, [name for name in names if is_weights(name)])
    if "config.json" not in names and "adapter_config.json" in names:
        return Fault.ADAPTER, "it is an adapter, not a model"
    if "config.json" not in names:
        return (Fault.FILES, "config.json is missing") if missing != "no weights" else None
    if missing == "no weights" and (other := _other_weights(names)):
        return Fault.FORMAT, f"its weights are {other}, which MLX does not read"
    gone = sorted(name for name in names if not os.path.exists(folder / name))
    if gone:
        return Fault.FILES, f"{printable(gone[0])} points to a file that does not exist"
    if missing:
        return Fault.FILES, missing
    return Fault.CONFIG, f"config.json cannot be read: {_why_unreadable(folder / 'config.json')}"


def special_file(folder: Path, entries: Iterable[os.DirEntry[str]]) -> str:
    """Name a pipe, a socket or a device among a model's files: to read it would never end. "": there is none.

    Args:
        entries: Of the folder; two of its folders are read here.
    """
    for entry in entries:
        if _is_special(entry):
            return entry.name
        if entry.name in _READ_FOLDERS and (inner := _special_of(folder / entry.name)):
            return f"{entry.name}/{inner}"
    return ""


def _special_of(folder: Path) -> str:
    try:
        with os.scandir(folder) as entries:
            return special_file(folder, entries)
    except OSError:
        return ""


def _is_special(entry: os.DirEntry[str]) -> bool:
    try:
        return not entry.is_file() and not entry.is_dir() and bool(entry.stat())
    except OSError:  # a link to nothing, or to itself
        return False


def missing_weights(folder: Path, present: Collection[str]) -> str:
    """Say which weights are missing, by their own numbers: "model-00001-of-00003.safetensors".

    Numbers may be odd: whole weights beside them, an index, or the layers of the config say more.
    """
    if not present:
        return "no weights"
    totals = [int(match[1]) for name in present if "-of-" in name and (match := _SHARD.search(name))]
    if not totals or len(totals) >= max(totals) or "model.safetensors" in present:
        return ""
    if _holds_all(folder, present):
        return ""
    return f"{max(totals) - len(totals)} of {max(totals)} weight files are missing"


def _holds_all(folder: Path, present: Collection[str]) -> bool:
    """Tell by an index of these weights, or else by the layers, whether files with odd numbers are all."""
    index = read_object(folder / "model.safetensors.index.json").get("weight_map")
    places: Mapping[str, Any] = index if isinstance(index, dict) else {}
    if places and {str(file) for file in places.values()} <= set(present):
        return True
    held = [tensor_names(folder / name) for name in present]
    if not all(held):
        return False
    tensors = frozenset[str]().union(*held)
    if not places.keys().isdisjoint(tensors):
        return places.keys() <= tensors
    layers = {int(match[1]) for match in map(_LAYER.search, tensors) if match}
    count = _layer_count(read_object(folder / "config.json"))
    return count <= len(layers) and layers.issuperset(range(count))


def _layer_count(config: Mapping[str, Any]) -> int:
    """Return how many layers a config.json says; 0 where it does not."""
    inner = config.get("text_config")
    stated = {**config, **inner} if isinstance(inner, dict) else config
    counts = [stated.get(name) for name in ("num_hidden_layers", "num_layers", "n_layers", "n_layer")]
    return next((count for count in counts if type(count) is int and count > 0), 0)


def _other_weights(names: Collection[str]) -> str:
    endings = {os.path.splitext(name.lower())[1] for name in names}  # noqa: PTH122
    return next((kind for ending, kind in _OTHER_WEIGHTS.items() if ending in endings), "")


def _why_unreadable(file: Path) -> str:
    try:
        read_json(file)
    except (OSError, ValueError, RecursionError) as exc:
        return str(exc)
    return "it is not an object"


def _has_partial_files(folder: Path, names: set[str]) -> bool:
    if any(name.endswith(_PARTIAL) or name.startswith(PARTIAL_START) for name in names):
        return True
    # A snapshot's files are links into "blobs"; a folder made by "hf download --local-dir" has ".cache".
    snapshots = folder if folder.name == "snapshots" else folder.parent
    blobs = snapshots.parent / "blobs" if snapshots.name == "snapshots" else None
    places = (blobs, folder / ".cache/huggingface/download")
    names = {name for place in places if place is not None for name in _entries(place)}
    return any(name.endswith(".incomplete") for name in names)


def _entries(folder: Path) -> list[str]:
    """List the names in a folder; none where it cannot be read."""
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []


def damaged_weights(folder: Path) -> str:
    """Say which weight file of a model is not whole; "" where all are."""
    for name in sorted(filter(is_weights, os.listdir(folder))):  # noqa: PTH208
        if reason := weights_fault(folder / name):
            return f"{printable(name)} {reason}"
    return ""

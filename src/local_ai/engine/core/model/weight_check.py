"""Compares a model's weights with its parameters, and an adapter's with the model, before either is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.utils import load_adapters, load_model

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.model.tokenizer_files import read_object
from local_ai.engine.errors import model_not_loadable
from local_ai.serving.errors import ApiError

_MOST_NAMES = 5
_ADAPTER_FIX = "name the folder that mlx_lm.lora wrote for this model (adapters, or model.adapter_path)"
_MISSING = re.compile(r"Missing \d+ parameters: \s*(.*?)\.?$", re.DOTALL)
_EXTRA = re.compile(r"Received \d+ parameters not in model: \s*(.*?)\.?$", re.DOTALL)


def check_weights(key: ModelKey, *, trust_remote_code: bool) -> None:
    """Build the model without reading its weights, as the loader does: arrays stay unevaluated.

    Raises:
        ApiError: 422 `model_not_loadable`, naming tensors that are missing, left over, or of other shapes.
    """
    try:
        model, _ = load_model(key.path, lazy=True, trust_remote_code=trust_remote_code)
    except Exception as exc:  # mlx-lm and mlx raise whatever they like here
        raise _of_model(key, exc) from exc
    if key.adapter:
        _check_adapter(key, key.adapter, model)
    # Layers draw random weights that nothing evaluates, and each draw holds the one before.
    mx.eval(mx.random.state)


def _of_model(key: ModelKey, exc: Exception) -> ApiError:
    text = str(exc)
    if found := _MISSING.search(text):
        names = _names(found[1])
        why = f"its weights lack {_some(names)}{_files_of(key.path, names)}"
        return model_not_loadable(key.id, why, f"download it again into {key.path}")
    if found := _EXTRA.search(text):
        why = f"its config.json describes a model without {_some(_names(found[1]))}, which its weights have"
        return model_not_loadable(key.id, why, "take a conversion of it that mlx-lm supports")
    why = " ".join(f"{type(exc).__name__}: {text}".split())[:500]
    return model_not_loadable(
        key.id, why, f"correct {key.path / 'config.json'}, or take a conversion that mlx-lm supports"
    )


def _check_adapter(key: ModelKey, adapter: Path, model: Any) -> None:
    tensors: Any = mx.load(str(adapter / "adapters.safetensors"))
    if halves := _lone_halves(tensors):
        why = f"has half a pair only: {_some(halves)}"
        raise model_not_loadable(key.id, f"the adapter {adapter} {why}", _ADAPTER_FIX)
    try:
        load_adapters(model, str(adapter))
    except Exception as exc:  # as above
        head, *lines = [line.strip() for line in str(exc).splitlines()] or [""]
        why = _some(sorted(lines)) or f"{type(exc).__name__}: {head}"
        raise model_not_loadable(
            key.id, f"the adapter {adapter} does not fit the model: {why}", _ADAPTER_FIX
        ) from exc


def _lone_halves(tensors: Mapping[str, Any]) -> list[str]:
    other = {"lora_a": "lora_b", "lora_b": "lora_a"}
    parts = [(name, *name.rpartition(".")[::2]) for name in tensors]
    return [name for name, place, half in parts if half in other and f"{place}.{other[half]}" not in tensors]


def _names(listed: str) -> list[str]:
    return [name.strip() for name in re.split(r"[,\n]", listed) if name.strip()]


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _files_of(folder: Path, names: list[str]) -> str:
    """Name the files that the index says they are in, where these are not there."""
    places = read_object(folder / "model.safetensors.index.json").get("weight_map")
    if not isinstance(places, dict):
        return ""
    files = sorted({str(places[name]) for name in names if name in places})
    gone = [json.dumps(file)[1:-1] for file in files if not (folder / file).is_file()]
    return f": {_some(gone)} is missing" if gone else ""

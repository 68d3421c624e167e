"""Reads a model's weights, and compares them with its parameters, and an adapter's with the model."""

import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import _get_classes, load_adapters, load_model

from local_ai.engine.core.job import ModelKey
from local_ai.engine.errors import model_not_loadable
from local_ai.models.places import read_object
from local_ai.serving.errors import ApiError

log = logging.getLogger(__name__)

_MOST_NAMES = 5
_MOST_BESIDE = 4  # tensors beside each parameter: its bias, and what its quantisation would need
_ADAPTER_FIX = "name the folder that mlx_lm.lora wrote for this model (adapters, or model.adapter_path)"
_OTHER_FIX = "take a conversion of it that mlx-lm supports"
# A tensor beside a parameter that is called so changes what the layer computes.
_WORKS_ON_LAYER = re.compile("bias|scale|weight|zero")
_LAYER = re.compile(r"(.*?\.)(\d+)\.(.*)")


def check_weights(key: ModelKey, *, trust_remote_code: bool) -> None:
    """Build the model without reading its weights, as the loader does: arrays stay unevaluated.

    Raises:
        ApiError: 422 `model_not_loadable`, naming tensors that are missing or of another kind.
    """
    model, _ = read_model(key, trust_remote_code=trust_remote_code)
    if key.adapter:
        _check_adapter(key, key.adapter, model)


def read_model(key: ModelKey, *, trust_remote_code: bool, tells: bool = False) -> tuple[Any, dict[str, Any]]:
    """Build a model, its weights looked up but unread, and leave out tensors that it has no place for.

    mlx-lm refuses such a folder whole: many are published with parts of training, of eyes, or of a head that
    guesses ahead.

    Args:
        tells: Log what is left out.

    Returns:
        The model, and its config.json.

    Raises:
        ApiError: 422 `model_not_loadable`, as `check_weights`.
    """

    def classes(config: dict[str, Any]) -> tuple[type[Any], type[Any]]:
        model_class, arguments_class = _get_classes(config)

        class Model(model_class):  # type: ignore[misc, valid-type]
            def load_weights(self, weights: Any, strict: bool = True) -> Any:
                if not strict:  # an adapter's, which are compared by `_check_adapter`
                    return super().load_weights(weights, strict=False)
                parameters: Any = tree_flatten(self.parameters(), destination={})
                given = dict(weights)
                kept = fitting_weights(key, parameters, given)
                if tells and (left_out := sorted(given.keys() - kept.keys())):
                    count, names = len(left_out), _some(left_out)
                    log.warning("%s: %d tensors without a place were left out: %s", key.id, count, names)
                return super().load_weights(list(kept.items()))

        return Model, arguments_class

    try:
        model, config = load_model(
            key.path, lazy=True, get_model_classes=classes, trust_remote_code=trust_remote_code
        )
    except ApiError:
        raise
    except KeyError as exc:  # a model that joins its experts' weights misses one
        if "." not in str(exc):
            raise cannot_read(key, exc) from exc
        raise _missing(key, [str(exc.args[0])]) from exc
    except Exception as exc:  # mlx-lm and mlx raise whatever they like here
        raise cannot_read(key, exc) from exc
    return model, config


def fitting_weights(
    key: ModelKey, parameters: Mapping[str, mx.array], weights: Mapping[str, mx.array]
) -> dict[str, mx.array]:
    """Return the weights that a model has parameters for.

    Args:
        parameters: The model's own, by name.
        weights: The folder's, under the names that the model gives them.

    Raises:
        ApiError: 422 `model_not_loadable`: a tensor is missing or of another kind, or one that would be left
            out changes answers.
    """
    if missing := sorted(parameters.keys() - weights.keys()):
        raise _missing(key, missing)
    for name, parameter in parameters.items():
        if why := _difference(parameter, weights[name]):
            raise model_not_loadable(
                key.id, f"its tensor {name} {why}", f"correct {key.path / 'config.json'}, or {_OTHER_FIX}"
            )
    extra = sorted(weights.keys() - parameters.keys())
    if needed := _needed(extra, parameters, weights):
        why = f"its config.json describes a model without {_some(needed)}, which its weights have"
        raise model_not_loadable(key.id, why, f"correct {key.path / 'config.json'}, or {_OTHER_FIX}")
    return {name: weights[name] for name in parameters}


def _difference(parameter: mx.array, weight: mx.array) -> str:
    if parameter.shape != weight.shape:
        return f"has shape {weight.shape}, and its config.json describes {parameter.shape}"
    wanted, given = (mx.issubdtype(array.dtype, mx.floating) for array in (parameter, weight))
    if wanted and not given:
        return f"holds {weight.dtype}, and its config.json does not say how it is quantised"
    return ""


def _needed(
    extra: list[str], parameters: Mapping[str, mx.array], weights: Mapping[str, mx.array]
) -> list[str]:
    """Name the tensors that answers would not be right without: of a layer that is there, or whole layers."""
    parents = {name.rpartition(".")[0] for name in parameters}
    parts = [(name, *name.rpartition(".")[::2]) for name in extra]
    beside = [name for name, parent, leaf in parts if parent in parents and _WORKS_ON_LAYER.search(leaf)]
    if len(beside) > _MOST_BESIDE * len(parameters):
        return beside  # not looked at one by one, which would hold everybody up
    of_layer = [name for name in beside if mx.any(weights[name] != 0).item()]
    return of_layer or _whole_layers(extra, parameters)


def _whole_layers(extra: list[str], parameters: Mapping[str, mx.array]) -> list[str]:
    """Name the layers that are like the model's own, and that its config does not count."""
    kinds = {(layers, frozenset(parts)) for (layers, _), parts in _by_layer(parameters).items()}
    found = _by_layer(extra)
    return [
        layers + number for (layers, number), parts in found.items() if (layers, frozenset(parts)) in kinds
    ]


def _by_layer(names: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Sort tensors by the list of layers they are in ("model.layers.") and their number there."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for match in filter(None, map(_LAYER.fullmatch, names)):
        found[match[1], match[2]].append(match[3])
    return found


def _missing(key: ModelKey, names: list[str]) -> ApiError:
    why = f"its weights lack {_some(names)}{_files_of(key.path, names)}"
    return model_not_loadable(key.id, why, f"download it again into {key.path}")


def cannot_read(key: ModelKey, exc: Exception) -> ApiError:
    """Word what mlx-lm or mlx says against a model's files (422 `model_not_loadable`)."""
    why = " ".join(f"{type(exc).__name__}: {exc}".split())[:500]
    return model_not_loadable(key.id, why, f"correct {key.path / 'config.json'}, or {_OTHER_FIX}")


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

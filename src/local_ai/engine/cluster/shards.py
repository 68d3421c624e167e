"""The part of a model that each rank holds: a slice of every layer, or some of the layers whole."""

import math
from typing import Any, Literal

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.cache import make_prompt_cache

from local_ai.engine.core.memory.cache_layers import cuts_anywhere
from local_ai.engine.core.memory.release import release_memory

Way = Literal["tensor", "pipeline"]
_HEADS = ("num_attention_heads", "num_key_value_heads")


def way_to_split(model: Any, config: dict[str, Any], size: int, backend: str) -> tuple[Way | None, str]:
    """Choose how a model is split, as mlx-lm's `sharded_load` does, where its sizes and the backend allow it.

    Returns:
        The way; None with why there is none.
    """
    caches = make_prompt_cache(model)
    if not all(hasattr(cache, "merge") for cache in caches):
        return None, "several ranks compute only what can be batched, and its layers' caches cannot be merged"
    inner = getattr(model, "model", None)
    inner_config = config.get("text_config")
    stated = inner_config if isinstance(inner_config, dict) else config
    heads = {name: count for name in _HEADS if isinstance(count := stated.get(name), int)}
    uneven = [f"{name} = {count}" for name, count in heads.items() if count % size]
    if hasattr(model, "shard") and not uneven:
        return "tensor", ""
    if hasattr(inner, "pipeline"):
        layers = len(model.layers)
        if layers < size:
            return None, f"its {layers} layers are fewer than {size} ranks"
        if backend == "nccl":  # mlx 0.32: "[nccl] Send not supported in NCCL backend."
            return None, "some layers for each rank (`pipeline`) need a send, which mlx does not have by nccl"
        if cuts_anywhere(caches[-math.ceil(layers / size) :]) and not cuts_anywhere(caches):
            return None, "its layers remember in several ways, and rank 0 would have those of one alone"
        return "pipeline", ""
    if hasattr(model, "shard"):
        return None, f"{' and '.join(uneven)} cannot be divided by {size} ranks"
    family = config.get("model_type")
    return None, f"mlx-lm's {family!r} has neither `shard` (slices of layers) nor `pipeline` (some layers)"


def split(model: Any, way: Way, group: Any) -> None:
    """Keep this rank's part of a lazily loaded model, and read it into memory.

    One array after the other: of all at once, mlx holds the whole ones before it takes their parts.
    """
    if way == "tensor":
        model.shard(group)
    else:
        model.model.pipeline(group)
    model.eval()
    for _, array in tree_flatten(model.parameters()):
        mx.eval(array)
    release_memory()


class RanksDiffer(Exception):
    """The ranks have not done the same: what they compute together from now on would be wrong."""


def share(tokens: Any | None, mark: int, group: Any) -> Any:
    """Begin to give all ranks the tokens of rank 0; the others bring zeros.

    On the default stream: NCCL has no other. Begun at once, so that all ranks come to it in one order.

    Args:
        tokens: (rows,); None: there are no rows.
        mark: A number for all that this rank has done, below 2**32.

    Returns:
        (rows + 1,); the last one is for `compare`.
    """
    own = mx.array([mark], mx.uint32)
    summed = mx.distributed.all_sum(
        own if tokens is None else mx.concatenate([tokens.astype(mx.uint32), own]), group=group
    )
    mx.async_eval(summed)  # type: ignore[no-untyped-call]
    return summed


def compare(summed: Any, mark: int, group: Any) -> None:
    """Wait for the sum, and make sure that all ranks gave `share` the same mark; else RanksDiffer."""
    if summed[-1].item() != mark * group.size() % 2**32:
        raise RanksDiffer(f"the ranks have not done the same: {mark:#x} is not the mark of all")

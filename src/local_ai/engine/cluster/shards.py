"""The part of a model that each rank holds: a slice of every layer, or some of the layers whole."""

from __future__ import annotations

from typing import Any, Literal

import mlx.core as mx

Way = Literal["tensor", "pipeline"]
_HEADS = ("num_attention_heads", "num_key_value_heads")


def way_to_split(model: Any, config: dict[str, Any], size: int) -> tuple[Way | None, str]:
    """Choose how a model is split, as mlx-lm's `sharded_load` does, where its sizes allow it.

    Returns:
        The way; None with why there is none.
    """
    inner = getattr(model, "model", None)
    inner_config = config.get("text_config")
    stated = inner_config if isinstance(inner_config, dict) else config
    heads = {name: count for name in _HEADS if isinstance(count := stated.get(name), int)}
    uneven = [f"{name} = {count}" for name, count in heads.items() if count % size]
    if hasattr(model, "shard") and not uneven:
        return "tensor", ""
    if hasattr(inner, "pipeline"):
        layers = len(model.layers)
        if layers >= size:
            return "pipeline", ""
        return None, f"its {layers} layers are fewer than {size} ranks"
    if hasattr(model, "shard"):
        return None, f"{' and '.join(uneven)} cannot be divided by {size} ranks"
    family = config.get("model_type")
    return None, f"mlx-lm's {family!r} has neither `shard` (slices of layers) nor `pipeline` (some layers)"


def split(model: Any, way: Way, group: Any) -> None:
    """Keep this rank's part of a lazily loaded model, and read it into memory."""
    if way == "tensor":
        model.shard(group)
    else:
        model.model.pipeline(group)
    model.eval()
    mx.eval(model.parameters(), mx.random.state)  # the latter as in `ModelLoad`


def share(tokens: Any, group: Any) -> Any:
    """Give all ranks the tokens of rank 0; the others bring zeros.

    On the default stream: NCCL has no other. Computed at once, so that all ranks ask for it in one order.
    """
    shared = mx.distributed.all_sum(tokens, group=group)
    mx.async_eval(shared)  # type: ignore[no-untyped-call]
    return shared

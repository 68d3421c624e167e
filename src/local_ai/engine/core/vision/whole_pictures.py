"""Gemma 4's layers, where the places of a picture attend to each other, to later ones too.

A batch reads such a picture in one piece, which has nothing else of its prompt (see `Sight.bounds`).
mlx-vlm's own pass over the layers knows such places at the beginning of a prompt alone.
"""

from typing import Any

import mlx.core as mx
from mlx_lm.models.base import create_attention_mask

from local_ai.engine.core.array import Array


def read_pictures(
    language: Any, embeddings: Array, layer_inputs: Array | None, cache: list[Any], is_place: Array
) -> Array:
    """Compute the logits (batch, tokens, vocabulary).

    Args:
        language: Gemma 4's language model of mlx-vlm.
        embeddings: Of what is read (batch, tokens, size).
        layer_inputs: What each layer looks up of tokens (batch, tokens, layers, size); None: nothing.
        cache: The layers', of mlx-lm's kinds; the last layers use those of others.
        is_place: Which tokens are a picture's places (batch, tokens).
    """
    model = language.model
    if layer_inputs is not None:
        layer_inputs = model.project_per_layer_inputs(embeddings, layer_inputs)
    caches = [*cache, *[None] * (len(model.layers) - len(cache))]
    together = is_place[:, :, None] & is_place[:, None, :]
    masks: dict[str, Array] = {}
    made: list[tuple[Any, Any]] = [(None, None)] * len(model.layers)  # keys with values, and their offset
    hidden = embeddings
    for at, (layer, own) in enumerate(zip(model.layers, caches, strict=True)):
        if layer.layer_type not in masks:
            masks[layer.layer_type] = _mask(embeddings, own, layer, model.window_size, together)
        shared, offset = made[model.previous_kvs[at]]
        looked_up = None if layer_inputs is None else layer_inputs[:, :, at]
        hidden, *rest = layer(
            hidden,
            masks[layer.layer_type],
            own,
            per_layer_input=looked_up,
            shared_kv=shared,
            offset=offset,
        )
        made[at] = (rest[0], rest[1])
    return language.logits_from_hidden(model.norm(hidden))


def _mask(embeddings: Array, cache: Any, layer: Any, window: int, together: Array) -> Array:
    """Mask what each token does not attend to (batch, 1, tokens, remembered and tokens)."""
    size = window if layer.layer_type == "sliding_attention" else None
    mask = create_attention_mask(embeddings, cache, window_size=size, return_array=True)
    before = mask.shape[-1] - together.shape[-1]
    return mask | mx.pad(together, [(0, 0), (0, 0), (before, 0)])[:, None]

"""Qwen3.5's layers, of which most are recurrent, with mlx-lm's caches.

mlx-vlm's own pass over the layers takes a batch apart where its rows are padded, waits for the device in each
step, and puts caches of its own in place of those it was given. The layers themselves need none of that.
"""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx_lm.models.base import create_attention_mask, create_ssm_mask
from mlx_lm.models.cache import ArraysCache

from local_ai.engine.core.array import Array


class RecurrentState:
    """mlx-lm's cache of a recurrent layer, with the methods that mlx-vlm's layers call.

    Source: https://github.com/Blaizzy/mlx-vlm, `models/cache.py`, `ArraysCache` of 0.7.10.
    """

    def __init__(self, cache: ArraysCache) -> None:
        self._cache = cache

    def __getitem__(self, index: int) -> Array:
        return self._cache[index]

    @property
    def lengths(self) -> Array:
        """How much of what is read is each row's; None where all of it is."""
        return self._cache.lengths

    def update_window(self, index: int, source: Array, width: int, *, lengths: Array | None) -> None:
        """Keep the last `width` of a convolution's inputs (batch, width + tokens, size)."""
        length = source.shape[1] - width
        if lengths is None:
            self._cache[index] = mx.contiguous(source[:, length:])
            return
        kept = mx.clip(lengths, 0, length)[:, None] + mx.arange(width)
        self._cache[index] = mx.take_along_axis(source, kept[..., None], axis=1)

    def update_recurrent(
        self, index: int, length: int, update: Callable[[Array, None], tuple[Array, Array]]
    ) -> tuple[Array, Array]:
        """Compute a state from the one before it, and the outputs on the way."""
        output, self._cache[index] = update(self._cache[index], None)
        return output, self._cache[index]

    def advance(self, steps: int) -> None:
        """Count tokens as read."""
        self._cache.advance(steps)


def read_hybrid(language: Any, embeddings: Array, cache: list[Any], position_ids: Array) -> Array:
    """Compute the logits (batch, tokens, vocabulary).

    Args:
        language: Qwen3.5's language model of mlx-vlm.
        embeddings: Of what is read (batch, tokens, size).
        cache: The layers', of mlx-lm's kinds.
        position_ids: Of what is read, in time, height and width (3, batch, tokens).
    """
    model = language.model
    attention = create_attention_mask(embeddings, cache[model.fa_idx])
    recurrent = create_ssm_mask(embeddings, cache[model.ssm_idx])
    rotary = model.layers[model.fa_idx].self_attn.rotary_emb
    turns = None if rotary.fused_apply else rotary(embeddings, position_ids)  # once for all layers
    hidden = embeddings
    for layer, own in zip(model.layers, cache, strict=True):
        if layer.is_linear:
            hidden = layer(hidden, mask=recurrent, cache=RecurrentState(own))
        else:
            placed = {"position_ids": position_ids, "position_embeddings": turns}
            hidden = layer(hidden, mask=attention, cache=own, **placed)
    hidden = model.norm(hidden)
    tied = language.args.tie_word_embeddings
    return model.embed_tokens.as_linear(hidden) if tied else language.lm_head(hidden)

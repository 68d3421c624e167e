"""A model that sees, as mlx-lm's batch drives it: the ids of pictures' places become rows."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models.cache import ArraysCache, KVCache, RotatingKVCache

from local_ai.engine.core.vision.picture_tokens import FIRST
from local_ai.engine.core.vision.rows import RowTable

Array = Any  # mlx.core.array


class SeeingModel(nn.Module):  # type: ignore[misc]
    """A model of mlx-vlm; its rows of pictures are in `table`."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.whole = whole
        self.table = RowTable()

    @property
    def layers(self) -> Any:
        return self.whole.language_model.layers

    @property
    def image_token(self) -> int:
        """The vocabulary's token for a picture's place."""
        config = self.whole.config
        found = getattr(config, "image_token_index", None)
        return int(config.image_token_id if found is None else found)

    def make_cache(self) -> list[Any]:
        """Make the layers' caches, of mlx-lm's kinds."""
        make = getattr(self.whole.language_model, "make_cache", None)
        return [KVCache() for _ in self.layers] if make is None else [_of_mlx_lm(each) for each in make()]

    def __call__(self, tokens: Array, cache: Any = None) -> Array:
        """Compute the logits (batch, tokens, vocabulary)."""
        language, rows = self.whole.language_model, self.table.rows
        if rows is None:
            return language(tokens, cache=cache).logits
        # Ids are unsigned: less than the first one would be far beyond the last.
        place = tokens.astype(mx.int32) - FIRST
        is_place = place >= 0
        texts = mx.where(is_place, self.image_token, tokens)
        embeddings = self.whole.get_input_embeddings(texts).inputs_embeds
        seen = rows.embeddings[mx.maximum(place, 0)].astype(embeddings.dtype)
        return language(
            texts, inputs_embeds=mx.where(is_place[..., None], seen, embeddings), cache=cache
        ).logits


def _of_mlx_lm(cache: Any) -> Any:
    """Make mlx-lm's cache of a kind that mlx-vlm has too.

    Raises:
        ValueError: It is of another kind.
    """
    kind = type(cache).__name__
    if kind == "KVCache":
        return KVCache()
    if kind == "RotatingKVCache":
        return RotatingKVCache(max_size=cache.max_size, keep=cache.keep)
    if kind == "ArraysCache":
        return ArraysCache(len(cache.cache))
    raise ValueError(f"its layers remember in a {kind}, which cannot be batched")

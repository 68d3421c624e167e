"""A model that sees, as mlx-lm's batch drives it: the ids of pictures' places become rows."""

from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models.cache import ArraysCache, KVCache, RotatingKVCache

from local_ai.engine.core.array import Array
from local_ai.engine.core.vision.hybrid_layers import read_hybrid
from local_ai.engine.core.vision.picture_tokens import FIRST
from local_ai.engine.core.vision.rows import RowTable
from local_ai.engine.core.vision.shifted_rows import positions
from local_ai.engine.core.vision.whole_pictures import read_pictures

_IMAGE_TOKEN = ("image_token_id", "image_token_index")  # in config.json


class SeeingModel(nn.Module):  # type: ignore[misc]
    """A model of mlx-vlm; its rows of pictures are in `table`."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.whole = whole
        self.table = RowTable()
        # Pictures have positions in time, height and width, and what follows them is moved: M-RoPE.
        self.moves_positions = hasattr(whole.language_model, "get_rope_index")
        # The places of a picture attend to each other, to later ones too.
        text = getattr(whole.config, "text_config", None)
        self.reads_whole = getattr(text, "use_bidirectional_attention", None) == "vision"
        caches = self.make_cache()
        self.is_hybrid = hasattr(getattr(whole.language_model, "model", None), "ssm_idx")  # Qwen3.5
        # The first layer of plain attention: its cache carries the shift.
        self.shifted = next((at for at, cache in enumerate(caches) if isinstance(cache, KVCache)), 0)

    @property
    def layers(self) -> Any:
        return self.whole.language_model.layers

    @property
    def image_token(self) -> int:
        """The vocabulary's token for a picture's place."""
        config = self.whole.config
        found = {name: getattr(config, name, None) for name in _IMAGE_TOKEN}
        # config.json states one of them, and a class that knows both leaves the other as it was.
        stated = {name: token for name, token in found.items() if token != getattr(type(config), name, None)}
        return int(next(token for token in (stated or found).values() if token is not None))

    def make_cache(self) -> list[Any]:
        """Make the layers' caches, of mlx-lm's kinds."""
        make = getattr(self.whole.language_model, "make_cache", None)
        return [KVCache() for _ in self.layers] if make is None else [_of_mlx_lm(each) for each in make()]

    def __call__(self, tokens: Array, cache: Any = None) -> Array:
        """Compute the logits (batch, tokens, vocabulary)."""
        rows = self.table.rows
        if rows is None:
            return self._read(tokens, cache)
        # Ids are unsigned: less than the first one would be far beyond the last.
        place = tokens.astype(mx.int32) - FIRST
        is_place = (place >= 0)[..., None]
        place = mx.maximum(place, 0)
        texts = mx.where(is_place[..., 0], self.image_token, tokens)
        made = self.whole.get_input_embeddings(texts)
        embeddings = made.inputs_embeds
        seen = rows.embeddings[place].astype(embeddings.dtype)
        size = embeddings.shape[-1]
        options: dict[str, Any] = {}
        if deeper := seen.shape[-1] // size - 1:
            # Each of the first layers adds rows of its own; for texts, none.
            added = mx.where(is_place, seen[..., size:], 0).reshape(-1, deeper, size)
            options["deepstack_visual_embeds"] = [added[:, level] for level in range(deeper)]
            options["visual_pos_masks"] = mx.ones(tokens.shape, mx.bool_)
        if made.per_layer_inputs is not None:  # Gemma 4: each layer looks tokens up for itself too
            options["per_layer_inputs"] = made.per_layer_inputs
        embeddings = mx.where(is_place, seen[..., :size], embeddings)
        if self.reads_whole and tokens.shape[1] > 1:
            language, inputs = self.whole.language_model, made.per_layer_inputs
            return read_pictures(language, embeddings, inputs, cache, is_place[..., 0])
        options["inputs_embeds"] = embeddings
        moves = None if rows.places is None else mx.where(is_place, rows.places[place], 0)
        return self._read(texts, cache, moves, **options)

    def _read(self, tokens: Array, cache: Any, moves: Array | None = None, **options: Any) -> Array:
        language = self.whole.language_model
        if self.moves_positions and cache is not None:
            options["position_ids"] = positions(cache[self.shifted], moves, tokens.shape[1])
        if self.is_hybrid and cache is not None:
            embeddings = options.get("inputs_embeds")
            if embeddings is None:
                embeddings = language.model.embed_tokens(tokens)
            return read_hybrid(language, embeddings, cache, options["position_ids"])
        return language(tokens, cache=cache, **options).logits


def _of_mlx_lm(cache: Any) -> Any:
    """Make mlx-lm's cache of a kind that mlx-vlm has too."""
    kind = type(cache).__name__
    if kind == "KVCache":
        return KVCache()
    if kind == "RotatingKVCache":
        return RotatingKVCache(max_size=cache.max_size, keep=cache.keep)
    if kind == "ArraysCache":
        return ArraysCache(len(cache.cache))  # see `hybrid_layers`
    raise ValueError(f"its cache is a {kind}, which cannot be batched")

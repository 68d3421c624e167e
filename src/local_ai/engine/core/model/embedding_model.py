"""Embedding: BERT's relatives on our own layers, Qwen3 on mlx-lm's, others on mlx-vlm's where it is there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.utils import _get_classes as mlx_lm_classes
from mlx_lm.utils import load_model
from transformers import AutoTokenizer

from local_ai.engine.core.array import Array
from local_ai.engine.core.model.encoder import KINDS, Encoder, EncoderConfig
from local_ai.engine.core.model.tokenizer import remember_no_words

# Of mlx-lm's decoders, those whose plain kind is known to be trained for vectors as well.
_DECODERS = {"qwen3"}


States = Callable[[Array, Array], Array]  # ids and mask, both (texts, tokens) → (texts, tokens, hidden size)
Pool = Callable[[Array, Array], Array]  # states and mask → (texts, hidden size)


class EmbeddingModel:
    """One embedding model in memory."""

    def __init__(self, tokenizer: Any, vectors: Callable[[Array, Array], Array]) -> None:
        self._tokenizer = tokenizer
        self._vectors = vectors

    def count(self, text: str) -> int:
        """Count a text's tokens, those that the tokenizer adds among them."""
        return len(self._tokenizer.encode(text))

    def embed(self, texts: list[str], *, most_tokens: int | None = None) -> list[list[float]]:
        """Turn texts, each cut to `most_tokens`, into vectors of length 1."""
        bound = {} if most_tokens is None else {"truncation": True, "max_length": most_tokens}
        read = self._tokenizer(texts, padding=True, return_tensors="np", **bound)
        tokens, mask = mx.array(read["input_ids"]), mx.array(read["attention_mask"])
        vectors = self._vectors(tokens, mask).astype(mx.float32)
        lengths = mx.maximum(mx.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
        return (vectors / lengths).tolist()  # type: ignore[no-any-return]


def load_embedding_model(folder: Path) -> EmbeddingModel:
    """Read an embedding model into memory.

    Raises:
        ModuleNotFoundError: It is of a kind that only mlx-vlm knows, which is not installed.
        Exception: As mlx-lm, mlx-vlm, transformers and MLX raise where it cannot be read.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_file") is not None:
        raise ValueError("it brings Python code of its own, which is not run here")
    tokenizer = AutoTokenizer.from_pretrained(str(folder), padding_side="right")
    remember_no_words(tokenizer)
    kind = config.get("model_type")
    plain = not (folder / "2_Dense").exists()
    if kind in KINDS and plain:
        encoder, _ = load_model(folder, get_model_classes=lambda config: (Encoder, EncoderConfig))
        return EmbeddingModel(tokenizer, _pooled(encoder, _pool_of(folder, "mean")))
    if kind in _DECODERS and plain:
        decoder, _ = load_model(folder, get_model_classes=_embedding_classes)
        return EmbeddingModel(tokenizer, _pooled(_states_of(decoder), _pool_of(folder, "lasttoken")))
    return EmbeddingModel(tokenizer, _vectors_of_mlx_vlm(folder))


def _pooled(states: States, pool: Pool) -> Callable[[Array, Array], Array]:
    return lambda tokens, mask: pool(states(tokens, mask), mask)


def _states_of(decoder: Any) -> States:
    # Padding comes after the texts, where a decoder's tokens do not look: it needs no mask.
    return lambda tokens, mask: decoder.model(tokens)


def _embedding_classes(config: dict[str, Any]) -> tuple[type, type]:
    """Return mlx-lm's classes, to read weights saved without the head of a language model."""
    model, arguments = mlx_lm_classes(config)

    class WithoutHead(model):  # type: ignore[misc, valid-type]
        def sanitize(self, weights: dict[str, Array]) -> dict[str, Array]:
            whole = {
                name if name.startswith(("model.", "lm_head.")) else f"model.{name}": value
                for name, value in weights.items()
            }
            if "lm_head" in self and not any(name.startswith("lm_head.") for name in whole):
                table = "model.embed_tokens."
                whole |= {
                    f"lm_head.{name.removeprefix(table)}": value
                    for name, value in whole.items()
                    if name.startswith(table)
                }
            return super().sanitize(whole)  # type: ignore[no-any-return]

    return WithoutHead, arguments


def _vectors_of_mlx_vlm(folder: Path) -> Callable[[Array, Array], Array]:
    from mlx_vlm.embedding_loader import load_embedding_model as load
    from mlx_vlm.models.pooling import read_pooling_config

    model = load(folder)
    model.pooling_config = read_pooling_config(folder)  # type: ignore[no-untyped-call]

    def vectors(tokens: Array, mask: Array) -> Array:
        found = getattr(model(tokens, attention_mask=mask), "text_embeds", None)
        if found is None:
            raise ValueError("it gives out no text embeddings")
        return found

    vectors(mx.array([[0]]), mx.array([[1]]))  # nothing is computed; a model of another purpose shows itself
    return vectors


def _pool_of(folder: Path, otherwise: str) -> Pool:
    """Find out which token's state is a text's vector, or whether all are.

    Source: https://github.com/UKPLab/sentence-transformers, models/Pooling.py; a flag a mode before 5, one
    name since.
    """
    try:
        config = json.loads((folder / "1_Pooling/config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _POOLS[otherwise]
    flags = {"pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"} | {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_lasttoken": "lasttoken",
    }
    set_flags = [
        flag for flag, is_set in config.items() if flag.startswith("pooling_mode_") and is_set is True
    ]
    mode = config.get("pooling_mode") or (flags.get(set_flags[0]) if len(set_flags) == 1 else None)
    if mode not in _POOLS:
        raise ValueError(
            f"1_Pooling/config.json asks for {mode or set_flags}, and only {sorted(_POOLS)} are known"
        )
    return _POOLS[mode]


def _first(states: Array, _mask: Array) -> Array:
    return states[:, 0]


def _last(states: Array, mask: Array) -> Array:
    return mx.take_along_axis(states, mask.sum(axis=1)[:, None, None] - 1, axis=1)[:, 0]


def _mean(states: Array, mask: Array) -> Array:
    return (states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)


def _max(states: Array, mask: Array) -> Array:
    return mx.where(mask[..., None] == 0, -mx.inf, states).max(axis=1)


_POOLS: dict[str, Pool] = {"cls": _first, "lasttoken": _last, "mean": _mean, "max": _max}

"""BERT and its relatives (RoBERTa, XLM-RoBERTa) as MLX layers, named as the weights on the hub are.

Only what makes vectors of texts: no pooler, no heads. mlx-lm has decoders alone, and mlx-vlm, which has
encoders too, brings 400 MB of packages for pictures, sound and training with it.

Source: https://github.com/huggingface/transformers, models/bert/modeling_bert.py and models/xlm_roberta.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from local_ai.engine.core.array import Array

POSITIONS_AFTER_PADDING = {"roberta", "xlm-roberta"}
KINDS = {"bert", *POSITIONS_AFTER_PADDING}

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": nn.gelu,
    "gelu_new": nn.gelu_approx,
    "gelu_pytorch_tanh": nn.gelu_approx,
    "relu": nn.relu,
    "silu": nn.silu,
}
_PREFIXES = ("bert.", "roberta.", "model.")


@dataclass(frozen=True)
class EncoderConfig:
    """The layers, as config.json states them."""

    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    pad_token_id: int = 0

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> EncoderConfig:
        """Take what is known of a config.json; mlx-lm calls this."""
        return cls(
            **{name: config[name] for name in cls.__dataclass_fields__ if config.get(name) is not None}
        )


class Encoder(nn.Module):  # type: ignore[misc]
    """Turns token ids (texts, tokens) and their mask into states (texts, tokens, hidden size)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.encoder = {"layer": [_Layer(config) for _ in range(config.num_hidden_layers)]}

    @property
    def unused(self) -> tuple[str, ...]:
        """Prefixes of the names of weights that are of other heads."""
        return ("pooler.", "cls.", "lm_head.", "embeddings.position_ids")

    def __call__(self, tokens: Array, mask: Array, segments: Array | None = None) -> Array:
        states = self.embeddings(tokens, mask, mx.zeros_like(tokens) if segments is None else segments)
        for layer in self.encoder["layer"]:
            states = layer(states, mask[:, None, None, :].astype(mx.bool_))
        return states

    def sanitize(self, weights: dict[str, Array]) -> dict[str, Array]:
        """Drop the prefix of the names, and the weights of other heads; mlx-lm calls this."""
        named = {}
        for name, value in weights.items():
            prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
            named[name.removeprefix(prefix)] = value
        return {name: value for name, value in named.items() if not name.startswith(self.unused)}


class _Embeddings(nn.Module):  # type: ignore[misc]
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self._padding = config.pad_token_id if config.model_type in POSITIONS_AFTER_PADDING else None

    def __call__(self, tokens: Array, mask: Array, segments: Array) -> Array:
        positions = mx.arange(tokens.shape[1])[None]
        if self._padding is not None:
            positions = mx.cumsum(mask, axis=1) * mask + self._padding
        return self.LayerNorm(
            self.word_embeddings(tokens)
            + self.position_embeddings(positions)
            + self.token_type_embeddings(segments)
        )


class _Layer(nn.Module):  # type: ignore[misc]
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self._heads = config.num_attention_heads
        self._activate = _ACTIVATIONS[config.hidden_act]
        self.attention = {
            "self": {name: nn.Linear(size, size) for name in ("query", "key", "value")},
            "output": _dense_and_norm(size, size, config.layer_norm_eps),
        }
        self.intermediate = {"dense": nn.Linear(size, inner)}
        self.output = _dense_and_norm(inner, size, config.layer_norm_eps)

    def __call__(self, states: Array, mask: Array) -> Array:
        looked = _add(self.attention["output"], self._attend(states, mask), states)
        return _add(self.output, self._activate(self.intermediate["dense"](looked)), looked)

    def _attend(self, states: Array, mask: Array) -> Array:
        texts, tokens, size = states.shape
        wide = size // self._heads
        queries, keys, values = (
            linear(states).reshape(texts, tokens, self._heads, wide).transpose(0, 2, 1, 3)
            for linear in (self.attention["self"][name] for name in ("query", "key", "value"))
        )
        looked = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=wide**-0.5, mask=mask)
        return looked.transpose(0, 2, 1, 3).reshape(texts, tokens, size)


def _dense_and_norm(inner: int, size: int, eps: float) -> dict[str, Any]:
    return {"dense": nn.Linear(inner, size), "LayerNorm": nn.LayerNorm(size, eps=eps)}


def _add(part: dict[str, Any], states: Array, before: Array) -> Array:
    return part["LayerNorm"](part["dense"](states) + before)

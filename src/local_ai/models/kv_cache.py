"""The memory that a model's attention cache takes, from its config.json alone. Pure.

Per token and layer, mlx-lm keeps a key and a value for each kv head, allocated in steps of 256 tokens. Layers
that look at a window keep no more than that, linear and convolution layers nothing that grows, and latent
attention (DeepSeek's) keeps one compressed vector.

Source: mlx_lm.models.cache (KVCache.step, RotatingKVCache) and the models' own make_cache, 0.32.2.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

_STEP_TOKENS = 256
_DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def kv_cache_bytes(config: Mapping[str, Any], tokens: int) -> int:
    """Estimate the cache of one conversation.

    Args:
        config: A model's config.json; one that does not say enough counts as 0.
        tokens: Prompt and answer together.
    """
    inner = config.get("text_config")
    text: Mapping[str, Any] = {**config, **inner} if isinstance(inner, dict) else config
    per_token = _bytes_per_token_and_layer(text)
    layers = _layers(text) if tokens > 0 else {}
    return sum(count * per_token * _kept(kind, text, tokens) for kind, count in layers.items())


def _bytes_per_token_and_layer(config: Mapping[str, Any]) -> int:
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")
    if latent := _number(config, "kv_lora_rank"):
        values = latent + _number(config, "qk_rope_head_dim")
    else:
        heads = _number(config, "num_attention_heads")
        size = _number(config, "head_dim") or (_number(config, "hidden_size") // heads if heads else 0)
        values = 2 * (_number(config, "num_key_value_heads") or heads) * size
    return values * _DTYPE_BYTES.get(dtype, 2)


def _layers(config: Mapping[str, Any]) -> Mapping[str, int]:
    """Count the layers of each kind, which are "full_attention" unless the config says otherwise.

    They are counted, not listed: a config may say any number. Where only `full_attention_interval` is given
    (Qwen3-Next) all count as full, since what the others hold is not estimated.
    """
    count = _number(config, "num_hidden_layers")
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and len(kinds) == count:
        return Counter(str(kind) for kind in kinds)
    if every := _number(config, "sliding_window_pattern"):
        full = count // every
        return {"full_attention": full, "sliding_attention": count - full}
    return {"full_attention": count}


def _kept(kind: str, config: Mapping[str, Any], tokens: int) -> int:
    """Count the tokens that a layer allocates memory for."""
    if kind in {"linear_attention", "mamba", "conv", "recurrent"}:
        return 0
    window = _number(config, "sliding_window") if kind == "sliding_attention" else 0
    return math.ceil(min(tokens, window or tokens) / _STEP_TOKENS) * _STEP_TOKENS


def _number(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    return value if type(value) is int and value > 0 else 0

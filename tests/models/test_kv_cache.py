"""The estimate of a model's cache, and that it is what mlx-lm takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_ai.models.kv_cache import kv_cache_bytes

# 32 layers, 8 kv heads of 128, 2 bytes: 131,072 bytes a token.
LLAMA_8B = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "torch_dtype": "bfloat16",
}


@pytest.mark.parametrize(
    ("config", "tokens", "expected"),
    [
        (LLAMA_8B, 4096, 4096 * 131_072),
        (LLAMA_8B, 1, 256 * 131_072),
        (LLAMA_8B, 0, 0),
        (LLAMA_8B | {"torch_dtype": "float32"}, 256, 2 * 256 * 131_072),
        (LLAMA_8B | {"head_dim": 64}, 256, 256 * 65_536),
        ({"text_config": LLAMA_8B, "model_type": "eyes"}, 256, 256 * 131_072),
        (LLAMA_8B | {"sliding_window": 512, "sliding_window_pattern": 2}, 4096, 131_072 * (512 + 4096) // 2),
        (LLAMA_8B | {"layer_types": ["linear_attention"] * 24 + ["full_attention"] * 8}, 256, 256 * 32_768),
        (LLAMA_8B | {"full_attention_interval": 4}, 256, 256 * 131_072),
        ({"text_config": LLAMA_8B | {"full_attention_interval": 4}}, 256, 256 * 131_072),
        (LLAMA_8B | {"num_hidden_layers": 10**9}, 256, 256 * 4096 * 10**9),
        (LLAMA_8B | {"num_hidden_layers": 10**9, "sliding_window_pattern": 2}, 256, 256 * 4096 * 10**9),
        (LLAMA_8B | {"num_hidden_layers": True}, 256, 0),
        (
            {"num_hidden_layers": 10, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_attention_heads": 16},
            256,
            256 * 10 * 576 * 2,
        ),
        ({"model_type": "silent"}, 4096, 0),
    ],
    ids=[
        "plain",
        "steps",
        "none",
        "dtype",
        "head-dim",
        "nested",
        "windows",
        "linear",
        "interval",
        "nested interval",
        "hostile",
        "hostile windows",
        "no number",
        "latent",
        "silent",
    ],
)
def test_cache_follows_from_the_config(config: dict[str, Any], tokens: int, expected: int):
    assert kv_cache_bytes(config, tokens) == expected


@pytest.mark.integration
@pytest.mark.parametrize("tokens", [1, 256, 300])
def test_estimate_is_what_mlx_takes_for_the_starter_model(starter_model: Path, tokens: int):
    import mlx.core as mx
    from mlx_lm import load
    from mlx_lm.models.cache import make_prompt_cache

    model, _ = load(str(starter_model))
    cache = make_prompt_cache(model)
    model(mx.ones((1, tokens), mx.int32), cache=cache)  # sizes are known before anything is computed

    config = json.loads((starter_model / "config.json").read_text())
    assert kv_cache_bytes(config, tokens) == sum(layer.nbytes for layer in cache)

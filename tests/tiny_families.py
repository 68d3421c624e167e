"""Tiny random models of the classes that people run: plain attention, sliding windows, recurrent layers.

Their weights come from mlx-lm's own classes, so importing mlx-lm is what they cost; the rest is as in
`tiny_model`: a real tokenizer, a real chat template, nonsense for answers, and always the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny_model import make_tiny_model

_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_LINEAR: dict[str, Any] = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
    "partial_rotary_factor": 0.5,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**_SIZES, "num_hidden_layers": 2},
    # Two windows of 64 tokens for each layer that sees all.
    "gemma3_text": {
        **_SIZES,
        "num_hidden_layers": 6,
        "query_pre_attn_scalar": 16,
        "sliding_window": 64,
        "sliding_window_pattern": 3,
    },
    "gpt_oss": {
        **_SIZES,
        "num_hidden_layers": 4,
        "intermediate_size": 64,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 64,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "rope_theta": 150000,
    },
    # Six recurrent layers and two that see all.
    "qwen3_next": {
        **_SIZES,
        **_LINEAR,
        "num_hidden_layers": 4,
        "num_experts": 0,
        "num_experts_per_tok": 0,
        "decoder_sparse_step": 1,
        "shared_expert_intermediate_size": 0,
        "mlp_only_layers": [],
        "moe_intermediate_size": 0,
    },
    "qwen3_5": {"text_config": {**_SIZES, **_LINEAR, "num_hidden_layers": 4, "num_experts": 0}},
    # Each layer has both, in one `CacheList`.
    "falcon_h1": {
        **_SIZES,
        "num_hidden_layers": 2,
        "mamba_d_ssm": 64,
        "mamba_d_head": 16,
        "mamba_n_heads": 4,
        "mamba_d_state": 16,
    },
    "lfm2": {
        **_SIZES,
        "num_hidden_layers": 3,
        "norm_eps": 1e-5,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": 64,
        "block_multiple_of": 32,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": False,
        "layer_types": ["conv", "conv", "full_attention"],
    },
}


def make_tiny_family(
    folder: Path, family: str, *, seed: int = 0, bits: int | None = None, **options: Any
) -> Path:
    """Write a random model of one of `FAMILIES`.

    Args:
        folder: Where to; made if need be.
        family: Its `model_type`.
        seed: Another one gives another model.
        bits: Its weights are quantised to so many, in groups of 32.
        options: As `make_tiny_model` has them, for the tokenizer and the template.

    Returns:
        `folder`.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_map_with_path
    from mlx_lm.utils import _get_classes, quantize_model

    make_tiny_model(folder, **options)
    file = folder / "config.json"
    base = json.loads(file.read_text(encoding="utf-8"))
    own = {
        key: base[key]
        for key in ("max_position_embeddings", "vocab_size", "bos_token_id", "eos_token_id", "torch_dtype")
    }
    config = own | {"model_type": family} | FAMILIES[family]
    if "text_config" in config:
        config["text_config"] = own | {"model_type": f"{family}_text"} | config["text_config"]
    file.write_text(json.dumps(config, indent=1), encoding="utf-8")

    model_class, arguments_class = _get_classes(config)
    model = model_class(arguments_class.from_dict(config))
    key = mx.random.key(seed)

    def drawn(path: str, value: mx.array) -> mx.array:
        nonlocal key
        key, own_key = mx.random.split(key)
        if value.ndim < 2:  # norms, biases and decays stay as they are made
            return value
        wide = 4.0 if "embed" in path or "lm_head" in path else 1.0
        scale = wide / float(value.shape[-1] if value.shape[-1] > 1 else value.shape[-2]) ** 0.5
        return mx.random.normal(value.shape, scale=scale, key=own_key)

    weights = dict(tree_flatten(tree_map_with_path(drawn, model.parameters())))
    if options.get("endless"):
        for name in weights:
            if "lm_head" in name:
                weights[name][mx.array(base["eos_token_id"])] = 0
    if bits:
        model.load_weights(list(weights.items()))
        model, config = quantize_model(model, config, group_size=32, bits=bits)
        weights = dict(tree_flatten(model.parameters()))
        file.write_text(json.dumps(config, indent=1), encoding="utf-8")
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    mx.eval(mx.random.state)
    return folder

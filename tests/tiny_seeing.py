"""Tiny random models that see, of the families that people run; they answer nonsense, always the same.

Their weights are those of mlx-vlm's own classes. One that can be shown to see is in `seeing_model`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tiny_model import add_token, make_tiny_model

TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
_QWEN_EYES = {"depth": 2, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}
_QWEN3_EYES = _QWEN_EYES | {
    "hidden_size": 32,
    "intermediate_size": 64,
    "out_hidden_size": 64,
    "patch_size": 16,
    "num_position_embeddings": 64,
}
_HYBRID_TEXT = TEXT | {
    "num_hidden_layers": 4,
    "full_attention_interval": 2,
    "head_dim": 16,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
    "rope_parameters": {
        "type": "default",
        "mrope_section": [2, 1, 1],
        "rope_theta": 10000,
        "partial_rotary_factor": 0.5,
    },
}
_QWEN_SCALING = {"type": "mrope", "mrope_section": [2, 3, 3]}
_QWEN_TOKENS = {
    "<|vision_start|>": "vision_start_token_id",
    "<|vision_end|>": "vision_end_token_id",
    "<|image_pad|>": "image_token_id",
    "<|video_pad|>": "video_token_id",
}
_QWEN_PIXELS = {"min_pixels": 28 * 28 * 4, "max_pixels": 28 * 28 * 36}
_QWEN_MARK = "<|vision_start|><|image_pad|><|vision_end|>"

_GLM_TEXT = TEXT | {
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "partial_rotary_factor": 0.5,
    "attention_bias": True,
    "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3]},
}
_GLM_EYES = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "patch_size": 14,
    "image_size": 112,
    "out_hidden_size": 64,
}
_GLM_TOKENS = {
    "<|begin_of_image|>": "vision_start_token_id",
    "<|end_of_image|>": "vision_end_token_id",
    "<|image|>": "image_token_id",
    "<|video|>": "video_token_id",
}
_GLM_MARK = "<|begin_of_image|><|image|><|end_of_image|>"
_GLM_PIXELS = {"image_processor_type": "Glm4vImageProcessor"} | {
    "size": {"shortest_edge": 28 * 28 * 8, "longest_edge": 28 * 28 * 72}
}

_SQUARE = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
_GEMMA4_TOKENS = {
    "<|image|>": "image_token_id",
    "<|image>": "boi_token_id",
    "<image|>": "eoi_token_id",
    "<|audio|>": "audio_token_id",
    "<|video|>": "video_token_id",
}
_GEMMA4_NAMED = {"image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>"}
_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
_PIXTRAL_TOKENS = {"[IMG]": "image_token_index", "[IMG_BREAK]": "", "[IMG_END]": ""}
_PIXTRAL_EYES = _TOWER | {"model_type": "pixtral", "head_dim": 16, "image_size": 112, "patch_size": 14}


@dataclass(frozen=True)
class Family:
    """A family of models that see.

    Args:
        config: Its config.json, beside what all have.
        tokens: Its special tokens, and how its config.json calls their ids.
        mark: What its template writes for a picture; None: it has no template.
        prepared: Its preprocessor_config.json.
        named: Names of its special tokens, in tokenizer_config.json.
        processor: Its processor_config.json.
    """

    config: dict[str, Any]
    tokens: dict[str, str]
    mark: str | None
    prepared: dict[str, Any]
    named: dict[str, str] = field(default_factory=dict)
    processor: dict[str, Any] = field(default_factory=dict)


_LFM_PIXELS = {
    "downsample_factor": 2,
    "encoder_patch_size": 16,
    "max_image_tokens": 16,
    "min_image_tokens": 4,
    "max_num_patches": 64,
    "tile_size": 64,
}


def _gemma4(**text: Any) -> Family:
    """Describe Gemma 4, its text_config with these too."""
    return Family(
        {
            "model_type": "gemma4",
            "text_config": TEXT
            | {"model_type": "gemma4_text", "head_dim": 16, "global_head_dim": 32, "num_hidden_layers": 6}
            | {"sliding_window": 64, "sliding_window_pattern": 2, "num_kv_shared_layers": 2}
            | {"hidden_size_per_layer_input": 8, "tie_word_embeddings": True}
            | text,
            "vision_config": _TOWER
            | {"model_type": "gemma4_vision", "head_dim": 16, "num_key_value_heads": 2, "patch_size": 8}
            | {"pooling_kernel_size": 2, "default_output_length": 9, "position_embedding_size": 64},
            "hidden_size": 64,
        },
        _GEMMA4_TOKENS,
        "<|image|>",
        {},
        _GEMMA4_NAMED,
        {
            "image_processor": {"patch_size": 8, "max_soft_tokens": 9, "pooling_kernel_size": 2},
            "processor_class": "Gemma4Processor",
        },
    )


FAMILIES = {
    "qwen2_vl": Family(
        TEXT
        | {"rope_scaling": _QWEN_SCALING}
        | {"vision_config": _QWEN_EYES | {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}},
        _QWEN_TOKENS,
        _QWEN_MARK,
        _QWEN_PIXELS,
    ),
    "qwen2_5_vl": Family(
        TEXT
        | {"rope_scaling": _QWEN_SCALING}
        | {
            "vision_config": _QWEN_EYES
            | {
                "hidden_size": 32,
                "intermediate_size": 64,
                "out_hidden_size": 64,
                "window_size": 56,
                "fullatt_block_indexes": [1],
            }
        },
        _QWEN_TOKENS,
        _QWEN_MARK,
        _QWEN_PIXELS,
    ),
    "qwen3_vl": Family(
        {
            "text_config": TEXT
            | {"model_type": "qwen3_vl_text", "head_dim": 16, "num_hidden_layers": 3}
            | {"rope_scaling": _QWEN_SCALING},
            "vision_config": _QWEN3_EYES | {"deepstack_visual_indexes": [0, 1]},
        },
        _QWEN_TOKENS,
        _QWEN_MARK,
        _QWEN_PIXELS,
    ),
    "qwen3_vl_moe": Family(
        {
            "text_config": TEXT
            | {"model_type": "qwen3_vl_moe_text", "head_dim": 16, "num_hidden_layers": 3}
            | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
            | {"decoder_sparse_step": 1, "mlp_only_layers": [], "rope_scaling": _QWEN_SCALING},
            "vision_config": _QWEN3_EYES | {"deepstack_visual_indexes": [0, 1]},
        },
        _QWEN_TOKENS,
        _QWEN_MARK,
        _QWEN_PIXELS,
    ),
    "qwen3_5": Family(
        {
            "text_config": _HYBRID_TEXT | {"model_type": "qwen3_5_text"},
            "vision_config": _QWEN3_EYES | {"deepstack_visual_indexes": []},
        },
        _QWEN_TOKENS,
        _QWEN_MARK,
        _QWEN_PIXELS,
    ),
    "qwen3_5_moe": Family(
        {
            "text_config": _HYBRID_TEXT
            | {"model_type": "qwen3_5_moe_text", "num_experts": 4, "num_experts_per_tok": 2}
            | {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
            "vision_config": _QWEN3_EYES | {"deepstack_visual_indexes": []},
        },
        _QWEN_TOKENS,
        _QWEN_MARK,
        _QWEN_PIXELS,
    ),
    "glm4v": Family(
        {"text_config": _GLM_TEXT | {"model_type": "glm4v_text"}, "vision_config": _GLM_EYES},
        _GLM_TOKENS,
        _GLM_MARK,
        _GLM_PIXELS,
    ),
    "glm4v_moe": Family(
        {
            "text_config": _GLM_TEXT
            | {"model_type": "glm4v_moe_text", "head_dim": 32, "use_qk_norm": False, "norm_topk_prob": True}
            | {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1}
            | {"topk_group": 1, "moe_intermediate_size": 32, "routed_scaling_factor": 1.0}
            | {"first_k_dense_replace": 1},
            "vision_config": _GLM_EYES,
        },
        _GLM_TOKENS,
        _GLM_MARK,
        _GLM_PIXELS,
    ),
    "glm_ocr": Family(
        {
            "text_config": {name: value for name, value in TEXT.items() if name != "rope_theta"}
            | {"model_type": "glm_ocr_text", "head_dim": 16}
            | {"rope_parameters": _QWEN_SCALING | {"rope_theta": 10000, "partial_rotary_factor": 1.0}},
            "vision_config": _GLM_EYES | {"model_type": "glm_ocr_vision"},
        },
        {
            "<|begin_of_image|>": "image_start_token_id",
            "<|end_of_image|>": "image_end_token_id",
            "<|image|>": "image_token_id",
            "<|video|>": "video_token_id",
        },
        _GLM_MARK,
        _GLM_PIXELS | {"image_processor_type": "Glm46VImageProcessor"},
    ),
    "gemma3": Family(
        {
            "text_config": TEXT
            | {"model_type": "gemma3_text", "head_dim": 16, "num_hidden_layers": 6}
            | {"sliding_window": 64, "sliding_window_pattern": 3, "query_pre_attn_scalar": 16}
            | {"mm_tokens_per_image": 4},
            "vision_config": _TOWER
            | {"model_type": "siglip_vision_model", "image_size": 56, "patch_size": 14},
            "hidden_size": 64,
            "mm_tokens_per_image": 4,
        },
        {
            "<image_soft_token>": "image_token_index",
            "<start_of_image>": "boi_token_index",
            "<end_of_image>": "",
        },
        "<start_of_image>",
        _SQUARE | {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 56, "width": 56}},
        {
            "image_token": "<image_soft_token>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
        },
        {"image_seq_length": 4, "processor_class": "Gemma3Processor"},
    ),
    "gemma4": _gemma4(),
    "gemma4_31b": _gemma4(use_bidirectional_attention="vision"),
    "gemma4_unified": Family(
        {
            "text_config": TEXT
            | {"model_type": "gemma4_unified_text", "head_dim": 16, "global_head_dim": 32}
            | {"num_hidden_layers": 4, "sliding_window": 64, "sliding_window_pattern": 2}
            | {"tie_word_embeddings": True},
            "vision_config": {"model_type": "gemma4_unified_vision", "patch_size": 8}
            | {"pooling_kernel_size": 2, "model_patch_size": 16, "mm_embed_dim": 32}
            | {"output_proj_dims": 32, "mm_posemb_size": 64, "num_soft_tokens": 9},
            "audio_config": None,
            "hidden_size": 64,
        },
        _GEMMA4_TOKENS,
        "<|image|>",
        {},
        _GEMMA4_NAMED,
        {
            "image_processor": {"patch_size": 8, "max_soft_tokens": 9, "pooling_kernel_size": 2},
            "processor_class": "Gemma4UnifiedProcessor",
        },
    ),
    "lfm2_vl": Family(
        {
            "text_config": TEXT
            | {
                "model_type": "lfm2",
                "num_hidden_layers": 3,
                "layer_types": ["conv", "full_attention", "conv"],
                "norm_eps": 1e-5,
                "block_dim": 64,
                "block_ff_dim": 128,
                "block_multiple_of": 16,
                "conv_dim": 64,
                "conv_dim_out": 64,
                "num_heads": 4,
                "tie_word_embeddings": True,
            },
            "vision_config": _TOWER
            | {
                "model_type": "siglip2_vision_model",
                "image_size": 64,
                "patch_size": 16,
                "num_patches": 16,
            },
            "projector_hidden_size": 64,
        }
        | _LFM_PIXELS,
        {
            "<image>": "image_token_id",
            "<|image_start|>": "",
            "<|image_end|>": "",
            "<|img_thumbnail|>": "",
            **{f"<|img_row_{row}_col_{column}|>": "" for row in (1, 2) for column in (1, 2)},
        },
        "<image>",
        _SQUARE
        | _LFM_PIXELS
        | {
            "image_processor_type": "Lfm2VlImageProcessorFast",
            "max_tiles": 4,
            "min_tiles": 2,
            "do_image_splitting": False,
            "use_thumbnail": False,
        },
        {
            "image_token": "<image>",
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "image_thumbnail": "<|img_thumbnail|>",
        },
        {"processor_class": "Lfm2VlProcessor"},
    ),
    "kimi_vl": Family(
        {
            "text_config": TEXT
            | {
                "model_type": "deepseek_v3",
                "kv_lora_rank": 16,
                "q_lora_rank": None,
                "qk_rope_head_dim": 8,
                "v_head_dim": 16,
                "qk_nope_head_dim": 8,
                "n_routed_experts": 4,
                "num_experts_per_tok": 2,
                "n_group": 1,
                "topk_group": 1,
                "moe_intermediate_size": 32,
                "n_shared_experts": 1,
                "first_k_dense_replace": 1,
                "num_key_value_heads": 4,
            },
            "vision_config": {
                "model_type": "moonvit",
                "hidden_size": 32,
                "embed_dim": 32,
                "num_attention_heads": 2,
                "num_hidden_layers": 2,
                "depth": 2,
                "num_heads": 2,
                "intermediate_size": 64,
                "patch_size": 14,
                "init_pos_emb_height": 8,
                "init_pos_emb_width": 8,
                "merge_kernel_size": [2, 2],
            },
        },
        {
            "<|media_pad|>": "media_placeholder_token_id",
            "<|media_start|>": "",
            "<|media_content|>": "",
            "<|media_end|>": "",
        },
        "<|media_start|>image<|media_content|><|media_pad|><|media_end|>",
        _SQUARE
        | {
            "image_processor_type": "KimiVLImageProcessor",
            "patch_size": 14,
            "in_token_limit": 64,
            "merge_kernel_size": [2, 2],
        },
        processor={"processor_class": "KimiVLProcessor"},
    ),
    "mistral3": Family(
        {
            "text_config": TEXT | {"model_type": "mistral", "head_dim": 16},
            "vision_config": _PIXTRAL_EYES,
            "spatial_merge_size": 2,
            "vision_feature_layer": -1,
        },
        _PIXTRAL_TOKENS,
        "[IMG]",
        _SQUARE
        | {"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 112}, "patch_size": 14},
        processor={"patch_size": 14, "spatial_merge_size": 2, "processor_class": "PixtralProcessor"},
    ),
    "pixtral": Family(
        {
            "text_config": TEXT | {"model_type": "mistral", "head_dim": 16},
            "vision_config": _PIXTRAL_EYES,
            "vision_feature_layer": -1,
        },
        _PIXTRAL_TOKENS,
        "[IMG]",
        _SQUARE
        | {"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 112}, "patch_size": 14},
        processor={"patch_size": 14, "processor_class": "PixtralProcessor"},
    ),
    "smolvlm": Family(
        {
            "text_config": TEXT | {"model_type": "llama"},
            "vision_config": _TOWER | {"model_type": "smolvlm_vision", "image_size": 32, "patch_size": 8},
            "scale_factor": 2,
        },
        {
            "<fake_token_around_image>": "",
            "<image>": "image_token_id",
            "<end_of_utterance>": "",
            "<global-img>": "",
        },
        "<image>",
        _SQUARE
        | {
            "image_processor_type": "SmolVLMImageProcessor",
            "do_image_splitting": False,
            "size": {"longest_edge": 32},
            "max_image_size": {"longest_edge": 32},
        },
        processor={"image_seq_len": 4, "processor_class": "SmolVLMProcessor"},
    ),
}
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}MARK"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tiny_seeing(
    folder: Path, family: str, *, made: Family | None = None, seed: int = 0, **prepared: Any
) -> Path:
    """Write a random model.

    Args:
        folder: Where to; made if need be.
        family: Its `model_type`.
        made: Its family, where that is none of `FAMILIES`.
        seed: Another one gives another model.
        prepared: Changes of its preprocessor_config.json.

    Returns:
        `folder`.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_map_with_path
    from mlx_vlm.utils import get_model_and_args, update_module_configs

    made = made or FAMILIES[family]
    make_tiny_model(folder)
    tokens = {text: add_token(folder, text) for text in made.tokens}
    ids = {name: tokens[text] for text, name in made.tokens.items() if name}
    own = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stated = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    vocabulary = max(tokens.values()) + 1
    config = json.loads(json.dumps(made.config)) | ids | {"model_type": made.config.get("model_type", family)}
    config["vocab_size"] = vocabulary
    config |= {name: own[name] for name in ("bos_token_id", "eos_token_id", "torch_dtype")}
    text = config.get("text_config", config)
    text["vocab_size"] = vocabulary
    if family.startswith("gemma4"):
        text["vocab_size_per_layer_input"] = vocabulary
    config["vision_config"].setdefault("model_type", family)
    _write(folder / "config.json", config)
    del stated["chat_template"]
    template = {"chat_template": _TEMPLATE.replace("MARK", made.mark)} if made.mark is not None else {}
    _write(
        folder / "tokenizer_config.json",
        stated | template | ({"extra_special_tokens": made.named} if made.named else {}),
    )
    _write(folder / "preprocessor_config.json", made.prepared | prepared)
    if made.processor:
        _write(folder / "processor_config.json", made.processor)

    read = json.loads(json.dumps(config))
    arch, _ = get_model_and_args(read)
    arguments = arch.ModelConfig.from_dict(read)
    arguments = update_module_configs(arguments, arch, read, ["text", "vision", "perceiver"])
    mx.random.seed(seed)  # of what is drawn as it is made
    model = arch.Model(arguments)
    key = mx.random.key(seed)
    # Wide ones that are tied would have each token say itself again.
    of_tokens = 0.3 if text["tie_word_embeddings"] else 4.0

    def drawn(path: str, value: mx.array) -> mx.array:
        nonlocal key
        key, own_key = mx.random.split(key)
        if value.ndim < 2:  # norms and biases stay as they are made
            return value
        wide = of_tokens if "embed_tokens" in path or "lm_head" in path else 1.0
        return mx.random.normal(value.shape, scale=wide / float(value.shape[-1]) ** 0.5, key=own_key)

    weights = dict(tree_flatten(tree_map_with_path(drawn, model.parameters())))
    for name in weights:
        if "lm_head" in name:  # it always has a likelier token than its last one
            weights[name][mx.array(own["eos_token_id"])] = 0
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    mx.eval(mx.random.state)
    return folder


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

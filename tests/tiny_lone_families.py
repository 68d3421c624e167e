"""Tiny random models that see and answer one request at a time, each shown pictures in another way."""

from __future__ import annotations

from typing import Any

from tests.tiny_seeing import Family

_TEXT: dict[str, Any] = {
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
_TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}
_SQUARE: dict[str, Any] = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
_CLIP = _SQUARE | {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 28},
    "crop_size": {"height": 28, "width": 28},
    "do_center_crop": True,
}
_CLIP_EYES = _TOWER | {
    "model_type": "clip_vision_model",
    "image_size": 28,
    "patch_size": 14,
    "projection_dim": 32,
}
_GRID: dict[str, Any] = {"image_grid_pinpoints": [[28, 56], [56, 28], [56, 56]]}
_LLAVA = {
    "patch_size": 14,
    "vision_feature_select_strategy": "default",
    "image_token": "<image>",
    "num_additional_image_tokens": 1,
}
_LFM_PIXELS = {
    "downsample_factor": 2,
    "encoder_patch_size": 16,
    "max_image_tokens": 16,
    "min_image_tokens": 4,
    "max_num_patches": 64,
    "tile_size": 64,
}

LONE_FAMILIES = {
    # Rows of one tower, a picture each.
    "llava": Family(
        {
            "text_config": _TEXT | {"model_type": "llama"},
            "vision_config": _CLIP_EYES,
            "vision_feature_layer": -2,
        },
        {"<image>": "image_token_index"},
        "<image>\n",
        _CLIP,
        processor=_LLAVA | {"processor_class": "LlavaProcessor"},
    ),
    # One picture in a conversation.
    "llava_next": Family(
        _GRID
        | {
            "text_config": _TEXT | {"model_type": "mistral"},
            "vision_config": _CLIP_EYES,
            "vision_feature_layer": -2,
        },
        {"<image>": "image_token_index"},
        "<image>\n",
        _CLIP | _GRID | {"image_processor_type": "LlavaNextImageProcessor"},
        processor=_LLAVA | {"processor_class": "LlavaNextProcessor"},
    ),
    # No template, no pieces of a prompt: all of it sees all of it.
    "paligemma": Family(
        {
            "text_config": _TEXT | {"model_type": "gemma", "head_dim": 16, "num_image_tokens": 4},
            "vision_config": _TOWER
            | {
                "model_type": "siglip_vision_model",
                "image_size": 28,
                "patch_size": 14,
                "projection_dim": 64,
            },
            "hidden_size": 64,
            "projection_dim": 64,
        },
        {"<image>": "image_token_index"},
        None,
        _SQUARE
        | {"image_processor_type": "SiglipImageProcessor", "size": {"height": 28, "width": 28}}
        | {"image_seq_length": 4},
        processor={"processor_class": "PaliGemmaProcessor"},
    ),
    # Layers that remember in no keys and values.
    "lfm2_vl": Family(
        {
            "text_config": _TEXT
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
    # Its processor brings its template.
    "internvl_chat": Family(
        {
            "text_config": _TEXT | {"model_type": "qwen2"},
            "vision_config": _TOWER | {"model_type": "intern_vit_6b", "image_size": 28, "patch_size": 7},
            "downsample_ratio": 0.5,
        },
        {"<IMG_CONTEXT>": "image_token_index", "<img>": "", "</img>": ""},
        "<image>\n",
        {"image_processor_type": "InternVLImageProcessor", "size": 28, "dynamic_max_num": 2},
        processor={"processor_class": "InternVLChatProcessor"},
    ),
    # Latent attention, and a tower for any size.
    "kimi_vl": Family(
        {
            "text_config": _TEXT
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
}

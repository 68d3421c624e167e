"""Tiny random models that see and answer one request at a time, each shown pictures in another way."""

from __future__ import annotations

from typing import Any

from tests.tiny_seeing import TEXT, Family

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
LONE_FAMILIES = {
    # Rows of one tower, a picture each.
    "llava": Family(
        {
            "text_config": TEXT | {"model_type": "llama"},
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
            "text_config": TEXT | {"model_type": "mistral"},
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
            "text_config": TEXT | {"model_type": "gemma", "head_dim": 16, "num_image_tokens": 4},
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
    # Its processor brings its template.
    "internvl_chat": Family(
        {
            "text_config": TEXT | {"model_type": "qwen2"},
            "vision_config": _TOWER | {"model_type": "intern_vit_6b", "image_size": 28, "patch_size": 7},
            "downsample_ratio": 0.5,
        },
        {"<IMG_CONTEXT>": "image_token_index", "<img>": "", "</img>": ""},
        "<image>\n",
        {"image_processor_type": "InternVLImageProcessor", "size": 28, "dynamic_max_num": 2},
        processor={"processor_class": "InternVLChatProcessor"},
    ),
}

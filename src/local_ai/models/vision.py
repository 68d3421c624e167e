"""Models that see, told from their files alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

# Of mlx-vlm's, those whose pictures are rows among a prompt's embeddings and no more. A tiny model of each
# was compared with mlx-vlm's own answers.
FAMILIES = frozenset(
    {
        "gemma3",
        "gemma4",
        "gemma4_unified",
        "glm4v",
        "glm4v_moe",
        "glm_ocr",
        "idefics3",
        "mistral3",
        "pixtral",
        "qwen2_5_vl",
        "qwen2_vl",
        "qwen3_5",
        "qwen3_5_moe",
        "qwen3_vl",
        "qwen3_vl_moe",
        "smolvlm",
    }
)

_FILES = ("preprocessor_config.json", "processor_config.json")  # that say how a picture is prepared
INSTALL = "pip install 'local-ai[vision]'"


def may_see(config: Mapping[str, Any]) -> bool:
    """Return True if a model's config.json describes one that sees, without code of its own."""
    return (
        str(config.get("model_type")) in FAMILIES
        and isinstance(config.get("vision_config"), dict)
        and config.get("model_file") is None
    )


def is_prepared(files: Collection[str]) -> bool:
    """Return True if a model's folder, of these files, says how pictures are prepared for it."""
    return any(name in files for name in _FILES)


@cache
def is_installed() -> bool:
    """Return True if the package that models see with is there."""
    return find_spec("mlx_vlm") is not None

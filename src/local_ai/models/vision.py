"""Models that see, told from their files alone."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

# Of mlx-vlm's, those whose pictures are rows among a prompt's embeddings and no more. A tiny model of each
# was compared with mlx-vlm's own answers.
FAMILIES = frozenset(
    {
        "gemma3", "gemma4", "gemma4_unified", "glm4v", "glm4v_moe", "glm_ocr", "idefics3", "kimi_vl",
        "lfm2-vl", "lfm2_vl", "mistral3", "pixtral", "qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_5_moe",
        "qwen3_vl", "qwen3_vl_moe", "smolvlm",
    }
)  # fmt: skip

# Of mlx-vlm's, those that are driven as its own loop drives them, one answer at a time; in lower case.
ONE_AT_A_TIME = frozenset(
    {
        "aya_vision", "bunny-llama", "cohere2_vision", "cohere_compass", "deepseek_vl_v2", "deepseekocr",
        "deepseekocr_2", "dots_ocr", "ernie4_5_moe_vl", "falcon_ocr", "glm5_next", "granite-vision",
        "granite4-vision", "granite4_vision", "granite_vision", "hunyuan_vl", "idefics2", "internvl",
        "internvl_chat", "jvlm", "kimi_k25", "kimi_k3", "llama4", "llava", "llava-qwen2", "llava_next",
        "llava_onevision", "llava_qwen2", "llmjpvl", "locateanything", "mage_vl", "mimo_v2", "minicpmo",
        "minicpmv4_6", "minicpmv4_7", "minimax_m3_vl", "mllama", "molmo", "molmo2", "molmo_point",
        "muse_glimmer", "muse_spark", "muse_spark_open", "nemotron_h_omni",
        "nemotronh_nano_omni_reasoning_v3", "paddleocr_vl", "paligemma", "phi3_v", "phi4-siglip", "phi4mm",
        "plamo2vl", "prism_hadamard_qwen35", "qwen3_omni_moe", "qwen4_exp", "step3p7", "unlimited-ocr",
        "youtu_vl", "zaya1_vl",
    }
)  # fmt: skip
# Of those, the ones that describe their eyes elsewhere in config.json.
_WITHOUT_VISION_CONFIG = frozenset(
    {
        "bunny-llama", "falcon_ocr", "llava-qwen2", "llava_qwen2", "molmo", "molmo2", "molmo_point", "phi3_v",
        "phi4-siglip", "phi4mm", "plamo2vl", "qwen3_omni_moe",
    }
)  # fmt: skip

_FINDS = "it marks places in pictures, and writes no answers"
_EMBEDS = "it turns pictures into vectors, and writes no answers"
_TASKS = "its prompts are the names of tasks, not conversations"
_ELSEWHERE = "mlx-vlm takes its tokenizer from another place on the hub, with code to run"
_PROMPTLESS = "mlx-vlm writes no conversations with pictures for it"
# Of mlx-vlm's, those that pictures cannot be shown to, and why; a clause.
REFUSED: Mapping[str, str] = {
    "clef": _EMBEDS,
    "colidefics3": _EMBEDS,
    "colqwen2_5": _EMBEDS,
    "d1": "it decides between choices, and writes no answers",
    "d1_omni": "it decides between choices, and writes no answers",
    "diffusion_gemma": "it writes by diffusion, not token by token",
    "embedding_gemma2": _EMBEDS,
    "falcon-perception": _FINDS,
    "florence2": _TASKS,
    "gemma3n": "mlx-vlm computes it wrongly where layers share keys (0.7.10)",
    "got": _PROMPTLESS,
    "indic_ocr": _PROMPTLESS,
    "inkling_mm_model": "mlx-vlm's processor for it runs code that the model brings",
    "llama_nemotron_vl_embedding": _EMBEDS,
    "mistral_large3": _PROMPTLESS,
    "moondream1": _ELSEWHERE,
    "moondream2": _ELSEWHERE,
    "moondream3": _ELSEWHERE,
    "multi_modality": "mlx-vlm needs OpenCV for it",
    "nemotron_parse": _TASKS,
    "pp_doclayout_v3": _FINDS,
    "qwen3_vl_embedding": _EMBEDS,
    "rf-detr": _FINDS,
    "rt_detr_v2": _FINDS,
    "sam3": _FINDS,
    "sam3_video": _FINDS,
    "sam3.1_video": _FINDS,
    "sam3d_body": _FINDS,
    "sam3d_objects": _FINDS,
    "siglip": _EMBEDS,
    "video_depth_anything": "it tells distances, and writes no answers",
}

_FILES = ("preprocessor_config.json", "processor_config.json")  # that say how a picture is prepared
INSTALL = "pip install 'local-ai[vision]'"


def family_of(config: Mapping[str, Any]) -> str:
    """Return a model's family as mlx-vlm looks it up."""
    return str(config.get("model_type")).lower()


def may_see(config: Mapping[str, Any]) -> bool:
    """Return True if a model's config.json describes one that sees, without code of its own."""
    family = family_of(config)
    return (
        family in FAMILIES | ONE_AT_A_TIME
        and (isinstance(config.get("vision_config"), dict) or family in _WITHOUT_VISION_CONFIG)
        and config.get("model_file") is None
    )


def answers_one_at_a_time(config: Mapping[str, Any]) -> bool:
    """Return True if a model that sees, by its config.json, answers one request after the other."""
    return may_see(config) and family_of(config) not in FAMILIES


def is_prepared(files: Collection[str]) -> bool:
    """Return True if a model's folder, of these files, says how pictures are prepared for it."""
    return any(name in files for name in _FILES)


@cache
def is_installed() -> bool:
    """Return True if the package that models see with is there."""
    return find_spec("mlx_vlm") is not None

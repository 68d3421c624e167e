"""Loads a model that sees, by mlx-vlm."""

import logging
from typing import Any

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.vision.eyes import Eyes
from local_ai.engine.core.vision.lone_model import LoneModel
from local_ai.engine.core.vision.prompt_eyes import PromptEyes
from local_ai.engine.core.vision.seeing_model import SeeingModel
from local_ai.models.vision import FAMILIES, INSTALL, REFUSED, family_of, is_installed, is_prepared, may_see
from local_ai.models.weight_files import tensor_names

log = logging.getLogger(__name__)

# Parts of the names of a tower's tensors.
_TOWERS = ("vision", "visual", "image_encoder", "img_projector", "img_processor", "vpm.")


def blindness(key: ModelKey, config: dict[str, Any]) -> str | None:
    """Say why a model is loaded for text alone; None where it sees."""
    if not may_see(config):
        if config.get("vision_config") is None or config.get("model_file") is not None:
            return "it reads text alone"
        why = REFUSED.get(family_of(config), "mlx-vlm does not know it")
        return f"pictures cannot be shown to its family ({config.get('model_type')}): {why}"
    if not is_installed():
        return f"mlx-vlm is not installed, by which models see ({INSTALL})"
    if key.adapter is not None:
        return "with an adapter it reads text alone"
    if not is_prepared([file.name for file in key.path.iterdir()]):
        return "its folder does not say how pictures are prepared (preprocessor_config.json)"
    names = [name for shard in key.path.glob("model*.safetensors") for name in tensor_names(shard)]
    if not any(part in name for name in names for part in _TOWERS):  # conversions to text leave them out
        return "its weights are those of its text part"
    return None


def read_seeing_model(key: ModelKey, config: dict[str, Any]) -> Any:
    """Build a model, its weights looked up but unread; its own code is never run. Raises as mlx-vlm.

    Returns:
        A SeeingModel, or a LoneModel where several answers cannot be generated at once.
    """
    from mlx_vlm.utils import load_model

    kind = SeeingModel if family_of(config) in FAMILIES else LoneModel
    return kind(load_model(key.path, lazy=True))


def read_eyes(key: ModelKey, model: Any) -> Eyes | PromptEyes:
    """Load what prepares pictures for a SeeingModel or a LoneModel; raises as transformers."""
    from mlx_vlm.utils import load_processor

    processor = load_processor(key.path, add_detokenizer=False, trust_remote_code=False)
    if isinstance(model, LoneModel):
        return PromptEyes(processor, model.whole.config)
    merged = model.whole.config.vision_config.spatial_merge_size if model.moves_positions else None
    return Eyes(processor, model.image_token, merged)

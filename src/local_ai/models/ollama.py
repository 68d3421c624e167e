"""A model of this machine as Ollama's API describes it."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from local_ai.models.catalog import Model

# Of Ollama, whose API is answered: clients ask for it and some refuse an older one.
API_VERSION = "0.12.11"


def details(model: Model) -> dict[str, Any]:
    """Return what a config.json says of a model, under Ollama's names."""
    return {
        "parent_model": "",
        "format": "safetensors",
        "family": model.family,
        "families": [model.family] if model.family else [],
        "parameter_size": "",
        "quantization_level": model.quantisation,
    }


def entry(model: Model) -> dict[str, Any]:
    """Return what all of Ollama's lists say of a model."""
    return {
        "name": model.id,
        "model": model.id,
        "size": model.size_bytes,
        "digest": _digest(model),
        "details": details(model),
    }


def written(seconds: float) -> str:
    """Write a time since 1970 as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _digest(model: Model) -> str:
    """Return a checksum that changes when the folder does; the weights themselves are not read."""
    said = f"{model.path}\0{model.size_bytes}\0{model.created}"
    return hashlib.sha256(said.encode(errors="surrogateescape")).hexdigest()

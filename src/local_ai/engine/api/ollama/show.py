"""The answer of /api/show, read from the model's folder; nothing is loaded."""

from __future__ import annotations

from typing import Any

from local_ai.engine.formats.folder import read_format, read_template
from local_ai.models.catalog import Model
from local_ai.models.ollama import details, written


def describe(model: Model) -> dict[str, Any]:
    """Return everything that is known of a model, under Ollama's names."""
    form = read_format(model.path)
    can = ["completion"] if model.generates_text else ["embedding"]
    if model.generates_text and form.knows_tools:
        can.append("tools")
    if model.generates_text and (form.thought or form.channels):
        can.append("thinking")
    if model.sees:
        can.append("vision")
    family = model.family or "unknown"
    about: dict[str, Any] = {"general.architecture": family, "general.basename": model.id}
    if model.context_tokens:
        about[f"{family}.context_length"] = model.context_tokens
    return {
        "modelfile": f"FROM {model.id}",
        "parameters": "",
        "template": read_template(model.path),
        "details": details(model),
        "model_info": about,
        "capabilities": can,
        "modified_at": written(model.created),
    }

"""Fields that a body gets before MLX Omni Server's routers see it: the model's folder, settings' values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_ai.engine.text.service import Service

Json = dict[str, Any]

_GENERATION = ("max_tokens", "temperature", "top_p", "top_k", "min_p")
_SYNONYMS = {"max_tokens": "max_completion_tokens"}  # OpenAI's newer name for the same wish


@dataclass(frozen=True)
class Placed:
    """Fields for a body."""

    fields: Json  # "model" is the model's folder
    name: str  # what the answer calls the model; "" leaves it as the router writes it


Place = Callable[[Json], Placed]


def place_model(folder_of: Callable[[str], str]) -> Place:
    """Name a model of any kind by its folder; where the body names none, the router has a default."""

    def place(body: Json) -> Placed:
        name = _text(body, "model")
        return Placed({"model": folder_of(name)} if name else {}, name)

    return place


def place_text(service: Service) -> Place:
    """Name a model that generates text by its folder; where the body is silent, the settings speak."""

    def place(body: Json) -> Placed:
        name = _text(body, "model")
        key = service.resolve(name or None, _text(body, "adapters") or None)
        generation = service.defaults(name or None)
        fields: Json = {
            field: getattr(generation, field)
            for field in _GENERATION
            if body.get(field) is None and body.get(_SYNONYMS.get(field, field)) is None
        }
        if key.adapter is not None:
            fields["adapters"] = str(key.adapter)
        return Placed(fields | {"model": str(key.path)}, name or key.id)

    return place


def _text(body: Json, field: str) -> str:
    value = body.get(field)
    return value if isinstance(value, str) else ""

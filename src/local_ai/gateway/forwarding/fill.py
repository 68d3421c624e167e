"""Fill in what a request leaves open, from the settings. Pure: what the request says always wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_ai.gateway.forwarding.routes import Route
from local_ai.models.aliases import find_named
from local_ai.models.catalog import Model
from local_ai.serving.refusal import Refusal

if TYPE_CHECKING:
    from local_ai.settings.schema import GenerationSettings

# OpenAI's newer name for the same wish.
_SYNONYMS = {"max_tokens": "max_completion_tokens"}

# What the Responses API calls a setting.
_SETTINGS = {"max_output_tokens": "max_tokens"}


@dataclass(frozen=True)
class Defaults:
    """What the settings say where a request is silent."""

    generation: GenerationSettings
    model: str | None = None  # id of the default model; None if this machine has none
    adapter: Path | None = None  # goes with the default model only
    models: tuple[Model, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    def means_default(self, name: object) -> bool:
        """Tell whether a name is the default model's own, or an alias of it."""
        if name == self.model or not self.aliases or not isinstance(name, str):
            return name == self.model
        default = next((model for model in self.models if model.id == self.model), None)
        return default is not None and find_named(name, self.models, self.aliases, default) == default


@dataclass(frozen=True)
class Filled:
    """A request's body with nothing left open."""

    body: dict[str, Any]
    names: tuple[str, ...]  # the fields that were filled, so the engine can tell a default from a wish


def needs_default_model(body: Mapping[str, Any], route: Route, *, adapter: Path | None) -> bool:
    """Tell whether it has to be known which model is the default one, which takes a look at the disk.

    Args:
        adapter: `model.adapter_path`.
    """
    return route.names_text_model and (adapter is not None or not _names_model(body))


def fill(body: Mapping[str, Any], route: Route, defaults: Defaults) -> Filled:
    """Return the body with defaults where it is silent; null counts as silent.

    Raises:
        Refusal: The request names no model, and there is none to fall back on.
    """
    filled: dict[str, Any] = {}
    if route.names_text_model:
        filled |= _model(body, defaults)
    for name in route.fills:
        if not _says(body, name) and not _says(body, _SYNONYMS.get(name, name)):
            filled[name] = getattr(defaults.generation, _SETTINGS.get(name, name))
    return Filled({**body, **filled}, tuple(filled))


def _model(body: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    if not _names_model(body):
        if defaults.model is None:
            raise Refusal(
                "no model can answer",
                status=404,
                why="the request names none and this machine has no default model",
                fix="set model.path in config.toml to a model folder, then run: local-ai server restart",
                code="model_not_found",
                param="model",
            )
        filled["model"] = defaults.model
    is_default = filled or (defaults.adapter is not None and defaults.means_default(body["model"]))
    if is_default and defaults.adapter and not _says(body, "adapters"):
        filled["adapters"] = str(defaults.adapter)
    return filled


def _names_model(body: Mapping[str, Any]) -> bool:
    return _says(body, "model") and body["model"] != ""


def _says(body: Mapping[str, Any], name: str) -> bool:
    return body.get(name) is not None

"""The models of this machine as requests and people name them: which there are, and which is the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from local_ai.models.aliases import DEFAULT_TARGET, find_named, find_target, with_aliases
from local_ai.models.catalog import Model, choose_default, list_models, nearest_names
from local_ai.models.memory import total_bytes
from local_ai.settings.paths import Paths


@dataclass(frozen=True)
class ModelLibrary:
    """What the disk held when it was read."""

    models: tuple[Model, ...]  # the newest first
    default: Model | None  # for requests that name none
    aliases: Mapping[str, str]
    configured: str | None = None  # `model.path`

    def find(self, name: str | None) -> Model | None:
        """Find by id, folder or alias; no name means the default."""
        return find_named(name, self.models, self.aliases, self.default) if name else self.default

    def listed(self) -> list[Model]:
        """List the models, and each alias without a wildcard like a model of its own."""
        return with_aliases(self.models, self.aliases, self.default)

    def target_of(self, name: str) -> str | None:
        """Return what an alias leads to in the end; None for a name that is no alias."""
        target = find_target(name, self.aliases)
        return self.configured or target if target == DEFAULT_TARGET else target

    def nearest(self, name: str) -> list[str]:
        """Suggest ids for a name, or for what it is an alias of, that leads to no model."""
        return nearest_names(self.target_of(name) or name, self.models)


def read_library(
    paths: Paths,
    *,
    configured: str | None,
    aliases: Mapping[str, str] | None = None,
    settled: str | None = None,
) -> ModelLibrary:
    """Read the model folders, which takes about a millisecond.

    Args:
        configured: `model.path`.
        aliases: `[aliases]`.
        settled: Id of the default model that a start chose, where the settings name none.
    """
    models = list_models(paths, configured)
    default = choose_default(models, configured=configured, memory_bytes=total_bytes(), settled=settled)
    return ModelLibrary(tuple(models), default, aliases or {}, configured)

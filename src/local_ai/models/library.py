"""The models of this machine as requests and people name them: which there are, and which is the default.

A name that clients insist on ("gpt-4o", "claude-*") is an alias: it leads to a model or to "default", never
to another alias. A model's own name always wins; then an alias spelt out; then the wildcard that says the
most, by its number of literal characters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.models.catalog import (
    Incomplete,
    Model,
    choose_default,
    find_model,
    list_incomplete,
    list_models,
    nearest_names,
)
from local_ai.models.memory import total_bytes
from local_ai.settings.model_names import LATEST, peer_in
from local_ai.settings.paths import Paths

if TYPE_CHECKING:
    from local_ai.settings.schema import LocalAISettings, NamedModelSettings
    from local_ai.settings.state import State

DEFAULT_TARGET = "default"
_WILDCARDS = re.compile(r"[*?]|\[[^]]*\]")


def find_target(name: str, aliases: Mapping[str, str]) -> str | None:
    """Return what an alias leads to; None for a name that is none."""
    if name in aliases:
        return aliases[name]
    matching = [pattern for pattern in aliases if is_pattern(pattern) and fnmatchcase(name, pattern)]
    literal_characters = {pattern: len(_WILDCARDS.sub("", pattern)) for pattern in matching}
    return aliases[max(matching, key=literal_characters.__getitem__)] if matching else None


def is_pattern(name: str) -> bool:
    """Tell whether an alias has a wildcard: *, ? or [set]."""
    return bool(_WILDCARDS.search(name))


@dataclass(frozen=True)
class ModelLibrary:
    """The content of the disk when it was read."""

    models: tuple[Model, ...]  # the newest first
    default: Model | None  # for requests that name none
    aliases: Mapping[str, str]
    configured: str | None = None  # `model.path`
    paths: Paths | None = None  # where it was read
    peers: tuple[str, ...] = ()  # names of `[[peers]]`, whose models are not read

    def find(self, name: str | None) -> Model | None:
        """Find by id, folder or alias, also with ":latest" after it; no name means the default."""
        if not name:
            return self.default
        found = find_model(name, self.models)
        if found is None and not peer_in(name, self.peers):  # a peer's model is none of a wildcard's
            found = self._at(find_target(name, self.aliases))
        if found is None and name.endswith(LATEST):
            return self.find(name.removesuffix(LATEST))
        return found

    def listed(self) -> list[Model]:
        """List the models, and each alias without a wildcard like a model of its own."""
        own = {model.id for model in self.models}
        names = [name for name in self.aliases if name not in own and not is_pattern(name)]
        found = [(name, self.find(name)) for name in names]
        return [*self.models, *(replace(model, id=name) for name, model in found if model)]

    def aliases_of(self, model: Model) -> list[str]:
        """List the aliases, wildcards too, that lead to a model."""
        return [
            name
            for name, target in self.aliases.items()
            if find_model(name, self.models) is None and self._at(target) == model
        ]

    def unknown_targets(self) -> list[tuple[str, str]]:
        """List the aliases, as (name, target), that lead to no model of this machine."""
        return [(name, target) for name, target in self.aliases.items() if self._at(target) is None]

    def target_of(self, name: str) -> str | None:
        """Return what an alias leads to in the end; None for a name that is no alias."""
        target = find_target(name, self.aliases)
        return self.configured or target if target == DEFAULT_TARGET else target

    def peer_of(self, name: str) -> str | None:
        """Return the peer whose model a name, or what it is an alias of, is spelt as; None for no peer's."""
        return peer_in(name, self.peers) or peer_in(self.target_of(name) or name, self.peers)

    def nearest(self, name: str) -> list[str]:
        """Suggest ids for a name, or for what it is an alias of, that leads to no model."""
        return nearest_names(self.target_of(name) or name, self.models)

    def unusable(self, name: str) -> Incomplete | None:
        """Find a folder by name, path or alias that is no usable model; the folders are read now."""
        names = (name, self.target_of(name))
        found = list_incomplete(self.paths, self.configured) if self.paths else []
        return next((one for one in found if one.id in names or str(one.path) in names), None)

    def _at(self, target: str | None) -> Model | None:
        if target == DEFAULT_TARGET:
            return self.default
        return find_model(target, self.models) if target else None


def _with_own(model: Model, named: Mapping[str, NamedModelSettings]) -> Model:
    """Add what the settings say of a model; its context is lowered only: past its end nothing is known."""
    own = next((own for name, own in named.items() if find_model(name, (model,))), None)
    if own is None:
        return model
    contexts = [context for context in (own.context_tokens, model.context_tokens) if context]
    return replace(model, own=own, context_tokens=min(contexts, default=None))


def find_folder(name: str, library: ModelLibrary, hub_cache: Path) -> str | None:
    """Find the folder of a model of any kind by its name or an alias; None where there is none.

    One that only the hub's cache has is returned by its name: its weights may be in a
    format that text models do not have, such as weights.npz.
    """
    if found := library.find(name):
        return str(found.path)
    is_cached = "/" in name and os.path.isdir(hub_cache / f"models--{name.replace('/', '--')}")
    return name if is_cached else None


def read_library(
    paths: Paths,
    *,
    configured: str | None,
    aliases: Mapping[str, str] | None = None,
    settled: str | None = None,
    named: Mapping[str, NamedModelSettings] | None = None,
    peers: tuple[str, ...] = (),
) -> ModelLibrary:
    """Read the model folders, which takes about a millisecond.

    Args:
        configured: `model.path`.
        aliases: `[aliases]`.
        settled: Id of the default model that a start chose, where the settings name none.
        named: `[models."NAME"]`.
        peers: Names of `[[peers]]`.
    """
    models = [_with_own(model, named or {}) for model in list_models(paths, configured)]
    default = choose_default(models, configured=configured, memory_bytes=total_bytes, settled=settled)
    return ModelLibrary(tuple(models), default, aliases or {}, configured, paths, peers)


def library_for(settings: LocalAISettings, paths: Paths, *, settled: str | None = None) -> ModelLibrary:
    """Read the model folders, with all that the settings say of models."""
    return read_library(
        paths,
        configured=settings.model.path,
        aliases=settings.all_aliases,
        settled=settled,
        named=settings.models.named,
        peers=tuple(peer.name for peer in settings.peers),
    )


def library_of(state: State) -> ModelLibrary:
    """Read the model folders of a server that was started."""
    return library_for(state.settings, state.paths, settled=state.default_model)

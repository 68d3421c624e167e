"""Names that clients insist on ("gpt-4o", "claude-*"), and the models that answer to them. Pure.

A model's own name always wins; then an alias spelt out; then the wildcard that says the most, by its number
of literal characters. An alias leads to a model or to "default", never to another alias.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from local_ai.models.catalog import Model, find_model

DEFAULT_TARGET = "default"

_WILDCARDS = re.compile(r"[*?]|\[[^]]*\]")


def find_target(name: str, aliases: Mapping[str, str]) -> str | None:
    """Return what an alias leads to; None for a name that is none."""
    if name in aliases:
        return aliases[name]
    matching = [pattern for pattern in aliases if is_pattern(pattern) and fnmatchcase(name, pattern)]
    return aliases[max(matching, key=_literal_characters)] if matching else None


def find_named(
    name: str, models: Sequence[Model], aliases: Mapping[str, str], default: Model | None
) -> Model | None:
    """Find the model that goes by a name or an alias of it; None if there is none."""
    if found := find_model(name, models):
        return found
    target = find_target(name, aliases)
    if target is None:
        return None
    return default if target == DEFAULT_TARGET else find_model(target, models)


def with_aliases(models: Sequence[Model], aliases: Mapping[str, str], default: Model | None) -> list[Model]:
    """Add an entry for each alias without a wildcard that leads to one of the models."""
    own = {model.id for model in models}
    names = [name for name in aliases if name not in own and not is_pattern(name)]
    found = [(name, find_named(name, models, aliases, default)) for name in names]
    return [*models, *(replace(model, id=name) for name, model in found if model)]


def aliases_of(
    model: Model, models: Sequence[Model], aliases: Mapping[str, str], default: Model | None
) -> list[str]:
    """List the aliases, wildcards too, that lead to a model."""
    return [
        name
        for name, target in aliases.items()
        if find_model(name, models) is None
        and (default if target == DEFAULT_TARGET else find_model(target, models)) == model
    ]


def unknown_targets(
    models: Sequence[Model], aliases: Mapping[str, str], default: Model | None
) -> list[tuple[str, str]]:
    """List the aliases, as (name, target), that lead to no model of this machine."""
    return [
        (name, target)
        for name, target in aliases.items()
        if (default if target == DEFAULT_TARGET else find_model(target, models)) is None
    ]


def is_pattern(name: str) -> bool:
    """Tell whether an alias has a wildcard: *, ? or [set]."""
    return bool(_WILDCARDS.search(name))


def _literal_characters(pattern: str) -> int:
    return len(_WILDCARDS.sub("", pattern))

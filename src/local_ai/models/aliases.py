"""Names that clients insist on ("gpt-4o", "claude-*"), and the models that answer to them. Pure.

A model's own name always wins; then an alias spelt out; then the wildcard that says the most, by its number
of literal characters. An alias leads to a model or to "default", never to another alias.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

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

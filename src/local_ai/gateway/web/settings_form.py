"""The form of the settings: what it shows, and what was typed into it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from local_ai.settings.describe import Described, as_shown, as_typed
from local_ai.settings.problems import InvalidSettings

# Before a key: what was typed, and what the setting was when the form was shown.
_TYPED, _SEEN = "typed:", "seen:"


@dataclass(frozen=True)
class Mistakes:
    """The reason for which a form was refused."""

    problems: Mapping[str, str] = field(default_factory=dict)  # by key
    general: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)  # the form's fields

    @classmethod
    def of(cls, error: InvalidSettings, changes: Mapping[str, Any], fields: Mapping[str, str]) -> Mistakes:
        """Put each problem at its field; those of other settings are the file's own."""
        mine: dict[str, str] = {}
        others: list[str] = []
        for problem in error.problems:
            key = next((key for key in changes if f"{problem.key}.".startswith(f"{key}.")), None)
            if key is None:
                others.append(f"{problem.key}: {problem.message}")
            else:
                mine.setdefault(key, problem.message)
        return cls(mine, "; ".join(others), fields)


@dataclass(frozen=True)
class Field:
    """One setting as the form shows it."""

    row: Described
    now: str  # what is in force; a secret is not told
    text: str  # in its input
    seen: str
    default: str
    later: str  # what a restart, or the next change, takes instead of what is in force; "" if nothing
    problem: str


@dataclass(frozen=True)
class Form:
    """The whole form."""

    sections: Mapping[str, tuple[Field, ...]]
    general: str
    has_problems: bool
    saved: tuple[str, ...] | None  # keys; None where nothing was sent


def make_form(
    rows: Sequence[Described], *, mistakes: Mistakes | None = None, saved: Sequence[str] | None = None
) -> Form:
    """Put the settings into fields, by section.

    Args:
        saved: The keys that have just been changed.
    """
    wrong = mistakes or Mistakes()
    sections: dict[str, tuple[Field, ...]] = {}
    for row in rows:
        sections[row.section] = (*sections.get(row.section, ()), _field(row, wrong))
    known = {row.key for row in rows}
    kept = None if saved is None else tuple(key for key in saved if key in known)
    return Form(sections, wrong.general, bool(wrong.problems), kept)


def _field(row: Described, wrong: Mistakes) -> Field:
    is_other = row.next_value != row.value
    typed = wrong.typed.get(_TYPED + row.key)
    return Field(
        row=row,
        now=as_shown(row.value),
        text=row.text if typed is None or typed == wrong.typed.get(_SEEN + row.key) else typed,
        seen=row.text,
        default=as_typed(row.default),
        later=as_shown(row.next_value) if is_other else "",
        problem=wrong.problems.get(row.key, ""),
    )


def fields_of(body: bytes) -> dict[str, str]:
    """Read a form as browsers send it."""
    parsed = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0].replace("\r\n", "\n") for name, values in parsed.items()}


def read_changes(
    rows: Sequence[Described], fields: Mapping[str, str]
) -> tuple[dict[str, Any], Mistakes | None]:
    """Find what was changed in the form.

    Returns:
        Values by key, None for a default; and the mistakes: settings that somebody else has changed since
        the form was shown.
    """
    changes: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for row in rows:
        typed, seen = fields.get(_TYPED + row.key), fields.get(_SEEN + row.key, "")
        if typed is None or typed == seen or typed == row.text or not row.can_change:
            continue
        if seen != row.text:
            problems[row.key] = (
                f"was changed meanwhile, to {row.text or 'the default'}; save again to replace that"
            )
        changes[row.key] = row.read(typed)
    return changes, Mistakes(problems, typed=fields) if problems else None

"""Say what is wrong with a setting in one line: key, what it must be, what it is, where it came from."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic_core import ErrorDetails

from local_ai.errors import ConfigError
from local_ai.printable import shortened
from local_ai.settings.findings import Finding, read_finding
from local_ai.settings.keys import join_key, split_key
from local_ai.settings.schema import LocalAISettings

_MOST_TOLD = 20  # suggesting a name for each of 20,000 would take half a minute, and nobody reads as many
_MOST_SHOWN = 80  # characters of a name or a value
_AUTO = "literal['auto']"  # pydantic's name for that side of a union


@dataclass(frozen=True)
class Problem:
    """One wrong setting."""

    key: str
    message: str
    origin: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message} ({self.origin})"


class InvalidSettings(ConfigError):
    """Settings that are wrong, all of them."""

    def __init__(self, problems: Sequence[Problem], config_file: Path | None) -> None:
        """Describe them, one a line."""
        super().__init__(
            "the settings are not valid" if len(problems) > 1 else "a setting is not valid",
            why=[str(problem) for problem in problems],
            fix="correct what is named above, then run",
            command="local-ai config check",
            see=str(config_file) if config_file else None,
        )
        self.problems = tuple(problems)


def describe_all(
    errors: Iterable[ErrorDetails], origins: Mapping[str, str], keys: list[str]
) -> list[Problem]:
    """Put pydantic's findings into words; a number that may also be "auto" has two, which are one problem.

    The first are told, and how many more there are.
    """
    found = list(errors)
    autos = {error["loc"][:-1] for error in found if error["loc"][-1:] == (_AUTO,)}
    problems = []
    for error in found[:_MOST_TOLD]:
        *outer, last = error["loc"] or ("",)
        if tuple(outer) not in autos:
            problems.append(describe(error, origins, keys))
        elif last != _AUTO:
            number = describe(ErrorDetails({**error, "loc": tuple(outer)}), origins, keys)
            words = number.message.replace("must be ", 'must be "auto" or ', 1)
            problems.append(replace(number, message=words))
    if (more := len(found) - _MOST_TOLD) > 0:
        problems.append(Problem(f"{more} more", "named once these are correct", problems[-1].origin))
    return problems


def describe(error: ErrorDetails, origins: Mapping[str, str], keys: list[str]) -> Problem:
    """Put one of pydantic's findings into words.

    Args:
        origins: Per key, the file, variable or option of the source that was checked.
        keys: Every valid key, for suggestions.
    """
    key = join_key(error["loc"])
    inside = (origin for name, origin in origins.items() if name.startswith(f"{key}."))
    around = (origin for name, origin in origins.items() if key.startswith(f"{name}."))
    origin = (
        origins.get(key)
        or next(inside, None)
        or next(around, None)
        or next(iter(origins.values()), "unknown")
    )
    shown = shortened(key if key.isprintable() else repr(key), _MOST_SHOWN)
    return Problem(shown, _message(error, key, keys), origin)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean X?" where a known name looks like the given one, else ""."""
    close = difflib.get_close_matches(name[:_MOST_SHOWN], list(names), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def _message(error: ErrorDetails, key: str, keys: list[str]) -> str:
    got = "" if _may_hold_a_secret(key, error.get("input")) else f", got {_shown(error.get('input'))}"
    finding, kind = read_finding(error, LocalAISettings), error["type"]
    if kind == "extra_forbidden":
        return "unknown key" + _suggestion(key, keys, finding.siblings)
    if kind in {"model_type", "model_attributes_type"} and key.startswith("models."):
        return f"unknown key{_suggestion(key, keys, ())}; a model's own values are a table: [{key}]"
    if kind in {"missing", "model_type", "model_attributes_type"} and key.startswith("peers."):
        return "must be given" if kind == "missing" else "must be a table of keys: [[peers]]"
    if kind == "tuple_type" and key == "peers":
        return "must be tables, one for each peer: [[peers]]"
    if kind == "literal_error":
        allowed = finding.choices
        return f"must be one of {', '.join(allowed)}{got}" + nearest(str(error.get("input")).upper(), allowed)
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}{got}"
    if kind in {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}:
        return f"must be {_range(finding)}{got}"
    text = error["msg"].removeprefix("Value error, ")
    return f"{text[:1].lower()}{text[1:]}{got}"


def _may_hold_a_secret(key: str, value: object) -> bool:
    """Tell whether a value may be, or have in it, a key or a password: of a peer, also by its address."""
    is_plain = isinstance(value, int | float) or (isinstance(value, str) and "@" not in value)
    return "api_key" in key or (key.partition(".")[0] == "peers" and (key == "peers" or not is_plain))


_TYPES = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": 'a list, such as ["one", "two"]',
    "dict_type": 'a table of names, such as "gpt-4o" = "default"',
    "string_too_short": "at least one character",
    "model_type": "a table of keys, such as [server]",
    "model_attributes_type": "a table of keys, such as [server]",
}


def _suggestion(key: str, keys: list[str], beside: Sequence[str]) -> str:
    """Suggest a known key.

    Args:
        beside: The names that are known where it is, in one model's table.
    """
    *outer, name = split_key(key)
    section = join_key(outer)
    if section.startswith("models."):
        return nearest(name, beside)
    siblings = [known for known in keys if known.startswith(f"{section}.")] if section else []
    by_sibling = nearest(key, siblings)
    if by_sibling:
        return by_sibling
    by_last_word = [known for known in keys if known.rpartition(".")[2] == name]
    if by_last_word:
        return f"; did you mean {by_last_word[0]}?"
    sections = dict.fromkeys(known.partition(".")[0] for known in keys)
    return nearest(key, [*sections, *keys])


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return shortened({"True": "true", "False": "false"}.get(text, text), _MOST_SHOWN)


def _range(finding: Finding) -> str:
    above, low = finding.bound("gt"), finding.bound("ge")
    high = finding.bound("le")
    if above is not None:
        return f"above {above:g} and at most {high:g}" if high is not None else f"above {above:g}"
    return f"{low:g}–{high:g}" if high is not None else f"at least {low:g}"

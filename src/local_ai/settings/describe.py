"""Every setting of a running server, ready to be shown and changed. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from local_ai.settings.keys import join_key, split_key
from local_ai.settings.load import COMMAND_LINE, DEFAULT, Loaded, flatten, variable_for
from local_ai.settings.reload import changes_in_place
from local_ai.settings.schema import LocalAISettings

Kind = Literal["choice", "list", "number", "records", "secret", "table", "text"]
_SECRETS = ("server.api_keys",)
_RECORDS = ("peers",)  # lists of tables, which a form does not hold
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Described:
    """One setting."""

    key: str
    section: str  # its table: "server"; of one model: 'models."NAME"'
    description: str
    kind: Kind
    choices: tuple[str, ...]  # of a choice, as they are typed; "" is none of them
    bounds: str  # of a number: "1–65535"
    value: Any  # in force; a secret is masked
    default: Any
    origin: str  # of what is set now: "default", a file, or how the start was given it
    next_value: Any  # what is set now: the value itself, unless the file was changed since
    in_place: bool  # whether a running server takes a change
    is_given: bool  # by command line or environment, which win over the file
    can_change: bool  # here and now

    @property
    def name(self) -> str:
        """The key without its section."""
        return self.key if self.key == self.section else self.key.removeprefix(f"{self.section}.")

    @property
    def is_default(self) -> bool:
        """True if nothing sets it."""
        return self.origin == DEFAULT

    @property
    def text(self) -> str:
        """The value now, as it is typed; a secret is not told."""
        return "" if self.kind == "secret" else as_typed(self.next_value)

    def read(self, text: str) -> Any:
        """Return what was typed as a value of a settings file; None for the default.

        What is no such value stays text, for the schema to refuse.
        """
        text = text.strip()
        if not text:
            return None
        match self.kind:
            case "choice" if text in ("true", "false"):
                return text == "true"
            case "list" | "secret":
                return [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
            case "table":
                pairs = (line.partition("=") for line in text.splitlines() if line.strip())
                return {name.strip(): target.strip() for name, _, target in pairs}
            case "number" if _NUMBER.fullmatch(text):
                return int(text) if text.lstrip("+-").isdecimal() else float(text)
        return text


def as_shown(value: Any) -> str:
    """Write a value for reading."""
    return as_typed(value) or ("not set" if value is None else "none")


def as_typed(value: Any) -> str:
    """Write a value as a person types it in a form."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "\n".join(f"{name} = {target}" for name, target in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_item_as_typed, value))
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _item_as_typed(item: Any) -> str:
    """Write one item of a list: a peer by its name and its address."""
    return f"{item['name']} ({item['url']})" if isinstance(item, Mapping) else str(item)


def describe_all(running: LocalAISettings, loaded: Loaded) -> list[Described]:
    """Describe every setting, in the order of the example file.

    Args:
        loaded: What a restart would take.
    """
    now, later = (flatten(each.model_dump(mode="json")) for each in (running, loaded.settings))
    usual = flatten(LocalAISettings().model_dump(mode="json"))
    return [
        _describe(key, now.get(key), later.get(key), usual.get(key), loaded.origins.get(key, DEFAULT))
        for key in dict.fromkeys((*later, *now))
    ]


def _describe(key: str, now: Any, later: Any, usual: Any, origin: str) -> Described:
    field, is_given, in_place = _field(key), origin == COMMAND_LINE, changes_in_place(key)
    kind = _kind(key, field)
    section = join_key(split_key(key)[:-1]) or key
    given = f"the command line or {variable_for(key)} at the start"
    return Described(
        key=key,
        section=section,
        description=str(field.get("description", "")),
        kind=kind,
        choices=_choices(field),
        bounds=_bounds(field),
        value=now,
        default=usual,
        origin=given if is_given else origin,
        next_value=later,
        in_place=in_place,
        is_given=is_given,
        can_change=in_place and not is_given and kind != "records",
    )


@cache
def _schema() -> dict[str, Any]:
    return LocalAISettings.model_json_schema()


def _field(key: str) -> dict[str, Any]:
    """Return a setting's part of the JSON schema."""
    field = _schema()
    for part in split_key(key):
        known = field.get("properties", {})
        field = _resolved(known[part] if part in known else field["additionalProperties"])
    return field


def _resolved(field: dict[str, Any]) -> dict[str, Any]:
    name = field.get("$ref", "").rpartition("/")[2]
    return _schema()["$defs"][name] if name else field


def _types(field: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the one type of a field, or each that it may be of, without null."""
    return [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]


def _kind(key: str, field: dict[str, Any]) -> Kind:
    names = {each["type"] for each in _types(field)}
    if key in _SECRETS:
        return "secret"
    if key in _RECORDS:
        return "records"
    if _choices(field):
        return "choice"
    if names & {"integer", "number"}:
        return "number"
    return "list" if "array" in names else "table" if "object" in names else "text"


def _choices(field: dict[str, Any]) -> tuple[str, ...]:
    first = _types(field)[0]
    return ("true", "false") if first["type"] == "boolean" else tuple(first.get("enum", ()))


def _bounds(field: dict[str, Any]) -> str:
    for each in _types(field):
        least, above, most = (each.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
        if above is not None:
            return f"above {above}" + ("" if most is None else f" and at most {most}")
        if least is not None:
            return f"at least {least}" if most is None else f"{least}–{most}"
    return ""

"""Settings as the programs have them: plain values, by the names that the schema gives them.

A start validates the settings once. The programs read them back without the schema, whose import (pydantic)
would take each of them a tenth of a second before it can answer. For type checkers a record is what it was
made from, and it can be read like that; it has none of pydantic's methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from local_ai.settings.schema import LocalAISettings

_PATHS = {"model.adapter_path", "models.paths"}
_SECRETS = {"server.api_keys"}
_LISTS = {"server.allowed_hosts", "server.allowed_origins", "server.api_keys", "models.paths"}
_TABLES = {"aliases"}  # whose keys are the user's own
_MASK = "**********"


class Secret:
    """A text that is never shown by accident; as pydantic's `SecretStr`."""

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"


class _Record:
    """Frozen values by name: all settings, or one section of them."""

    def __init__(self, values: Mapping[str, Any], section: str = "") -> None:
        self.__dict__.update(values)
        self.__dict__["_section"] = section

    def __getattr__(self, name: str) -> Any:
        """Return the default of what an older version's start knew nothing of."""
        if name.startswith("_"):
            raise AttributeError(name)
        from local_ai.settings.schema import LocalAISettings

        defaults = LocalAISettings()
        return getattr(getattr(defaults, self._section) if self._section else defaults, name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to {name!r}: settings are frozen")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Record) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in _items(self))})"


def read_record(raw: Mapping[str, Any]) -> LocalAISettings:
    """Make a record of JSON values that were valid settings, by section and name.

    Raises:
        TypeError: They are not such values: a section is none, or a list.
    """
    if not all(isinstance(section, Mapping) for section in raw.values()):
        raise TypeError("a section is not a table")
    sections = {name: _revived(name, value) for name, value in raw.items()}
    return cast("LocalAISettings", _Record(sections))


def to_plain(settings: LocalAISettings, *, reveal_secrets: bool = False) -> dict[str, Any]:
    """Return a record as JSON values; secrets are masked unless told otherwise."""
    return {name: _plain(value, reveal_secrets) for name, value in _items(cast("_Record", settings))}


def _items(record: _Record) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(record).items() if not name.startswith("_")]


def _revived(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if key in _TABLES:
            return dict(value)
        return _Record({name: _revived(f"{key}.{name}", item) for name, item in value.items()}, key)
    if key in _LISTS:
        if not isinstance(value, list):
            raise TypeError(f"{key} is not a list")
        return tuple(_item(key, item) for item in value)
    return _item(key, value)


def _item(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key in _PATHS:
        return Path(value)
    return Secret(value) if key in _SECRETS else value


def _plain(value: Any, reveal: bool) -> Any:
    if isinstance(value, _Record):
        return {name: _plain(item, reveal) for name, item in _items(value)}
    if isinstance(value, tuple):
        return [_plain(item, reveal) for item in value]
    if isinstance(value, Secret):
        return value.get_secret_value() if reveal else _MASK
    return str(value) if isinstance(value, Path) else value

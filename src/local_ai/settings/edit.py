"""Change values in a settings file and keep everything else: comments, order, spacing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from local_ai.atomic_file import replace_file
from local_ai.errors import ConfigError
from local_ai.settings.example import write_example
from local_ai.settings.keys import split_key


class _ChangedMeanwhileError(Exception):
    """Somebody else has written the file since it was read."""


def set_value(file: Path, key: str, value: str) -> None:
    """Write one value into a settings file, as `set_values` does."""
    set_values(file, {key: value})


def set_values(
    file: Path, changes: Mapping[str, object], *, check: Callable[[Path], object] = lambda _: None
) -> None:
    """Write values into a settings file, which is made from the commented example if it is not there.

    Args:
        changes: By key ("model.path"); None takes the key out of the file.
        check: Told where the new file lies before it takes the old one's place; may refuse it.

    Raises:
        ConfigError: The file is broken or cannot be written; it is left as it was.
    """
    if not os.path.exists(file):
        write_example(file)
    try:
        # A link to a file kept elsewhere stays a link.
        while not _replaced(file.resolve(), changes, check):
            pass
    except (TOMLKitError, UnicodeDecodeError, TypeError) as exc:
        raise _not_changed(
            file, f"it is not valid TOML: {exc}", fix="correct it, then run", command="local-ai config check"
        ) from exc
    except OSError as exc:
        raise _not_changed(file, str(exc.strerror), command=f"chmod u+rw {file}") from exc


def _replaced(file: Path, changes: Mapping[str, object], check: Callable[[Path], object]) -> bool:
    """Replace the file; False where somebody else has changed it meanwhile."""
    text = file.read_text("utf-8")
    document = tomlkit.parse(text)
    for key, value in changes.items():
        _set(document, split_key(key), value)

    def compare(new: Path) -> None:
        check(new)
        if file.read_text("utf-8") != text:
            raise _ChangedMeanwhileError

    try:
        replace_file(file, [tomlkit.dumps(document).encode()], keep_mode=True, check=compare)
    except _ChangedMeanwhileError:
        return False
    return True


def _set(document: tomlkit.TOMLDocument, parts: list[str], value: object) -> None:
    *sections, name = parts
    table: Any = document
    for section in sections:
        if value is None and section not in table:
            return
        table = table.setdefault(section, tomlkit.table())
    if value is not None:
        table[name] = value
    elif name in table:
        del table[name]


def _not_changed(file: Path, why: str, *, fix: str = "", command: str) -> ConfigError:
    return ConfigError("the settings file was not changed", why=f"{file}: {why}", fix=fix, command=command)

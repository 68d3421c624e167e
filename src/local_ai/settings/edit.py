"""The settings file: written from the commented example; values are changed, and everything else is kept."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from local_ai.atomic_file import replace_file
from local_ai.entry import as_called
from local_ai.errors import ConfigError
from local_ai.regular_file import read_regular
from local_ai.settings.keys import split_key

_EXAMPLE = "config.example.toml"


def example_text() -> str:
    """Return the example file: shipped in the installed package, at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / _EXAMPLE
    return (installed if installed.is_file() else package.parents[1] / _EXAMPLE).read_text("utf-8")


def write_example(file: Path) -> None:
    """Write the example file, with its folders; for its owner's eyes alone, since keys may go there.

    Raises:
        ConfigError: There is a file already (it is kept), or the place cannot be written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        private = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(private, "w", encoding="utf-8") as stream:
            stream.write(as_called(example_text()))
    except FileExistsError as exc:
        raise ConfigError(
            "the settings file was not written",
            why=f"{file} exists already, and it is not overwritten",
            fix="edit that file, or write another with",
            command=f"local-ai config init --config {file}.new",
        ) from exc
    except OSError as exc:
        raise ConfigError(
            "the settings file was not written",
            why=f"{file}: {exc.strerror}",
            fix="choose another place with: local-ai config init --config FILE",
        ) from exc


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
    text = read_regular(file).decode()
    document = tomlkit.parse(text)
    for key, value in changes.items():
        _set(document, split_key(key), value)

    def compare(new: Path) -> None:
        check(new)
        if read_regular(file).decode() != text:
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

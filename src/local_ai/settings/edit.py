"""Change one value in a settings file and keep everything else: comments, order, spacing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from local_ai.errors import ConfigError
from local_ai.settings.example import write_example


def set_value(file: Path, key: str, value: str) -> None:
    """Write a value into a settings file, which is made from the commented example if it is not there.

    Args:
        key: Section and name: "model.path".

    Raises:
        ConfigError: The file is broken or cannot be written; it is left as it was.
    """
    if not os.path.exists(file):
        write_example(file)
    section, _, name = key.partition(".")
    try:
        document = tomlkit.parse(file.read_text("utf-8"))
        table = document.setdefault(section, tomlkit.table())
        table[name] = value
        _replace(file, tomlkit.dumps(document))
    except (TOMLKitError, UnicodeDecodeError, TypeError) as exc:
        raise _not_changed(
            file, f"it is not valid TOML: {exc}", fix="correct it, then run", command="local-ai config check"
        ) from exc
    except OSError as exc:
        raise _not_changed(file, str(exc.strerror), command=f"chmod u+rw {file}") from exc


def _replace(file: Path, text: str) -> None:
    target = file.resolve()  # a link to a file kept elsewhere stays a link
    new = target.with_name(f".{target.name}.new")
    new.write_text(text, "utf-8")
    shutil.copymode(target, new)
    new.replace(target)


def _not_changed(file: Path, why: str, *, fix: str = "", command: str) -> ConfigError:
    return ConfigError("the settings file was not changed", why=f"{file}: {why}", fix=fix, command=command)

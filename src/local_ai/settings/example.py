"""The commented settings file that `config.init` writes."""

from __future__ import annotations

import os
from pathlib import Path

from local_ai.entry import as_called
from local_ai.errors import ConfigError

_NAME = "config.example.toml"


def example_text() -> str:
    """Return the example file: shipped in the installed package, at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / _NAME
    return (installed if installed.is_file() else package.parents[1] / _NAME).read_text("utf-8")


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

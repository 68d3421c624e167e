"""The commented settings file that `config.init` writes."""

from __future__ import annotations

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
    """Write the example file, with its folders.

    Raises:
        ConfigError: There is a file already (it is kept), or the place cannot be written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
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

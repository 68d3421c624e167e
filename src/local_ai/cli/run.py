"""The parts that commands share: failures in words, options' values, the settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from local_ai.cli import console
from local_ai.entry import set_entry
from local_ai.errors import EXIT_INTERRUPTED, ConfigError, LocalAIError

if TYPE_CHECKING:
    from local_ai.settings.load import Loaded


def run_words(words: Sequence[str]) -> int | None:
    """Run what the words of a command line ask for; returns the exit code, None for 0.

    Raises:
        LocalAIError: They ask for nothing that there is, or it failed.
    """
    from local_ai.cli.parser import parse

    if words[:1] in (["--version"], ["-V"], ["version"]):
        from importlib.metadata import version

        console.print_raw(f"local-ai {version('local-ai')}")
        return 0
    if words[:1] in (["--complete"], ["--print-completion-script"]):
        from local_ai.cli.completion import candidates, completion_script

        is_script = words[0] != "--complete"
        text = completion_script("".join(words[1:2])) if is_script else "\n".join(candidates(words[1:]))
        console.print_raw(text.rstrip("\n"))
        return 0
    wanted = parse(words)
    if wanted.command is None or wanted.is_help:
        from local_ai.cli.help import help_text

        console.print_text(help_text(wanted))
        return 0
    return wanted.command.run(wanted.values)


def guarded(function: Callable[..., int | None], *args: Any, **kwargs: Any) -> int:
    """Run a command; its expected failures end in words on stderr. Returns the exit code."""
    set_entry(console.called_as())
    try:
        code = function(*args, **kwargs) or 0
        console.flush()
        return code
    except LocalAIError as error:
        if isinstance(error, console.OutputError):
            let_reader_go()
        console.print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        let_reader_go()
        return 0


def let_reader_go() -> None:
    """The reader of a pipe (head, less) has closed it; the exit must not try to flush to it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def load_settings(config: str | None, overrides: Mapping[str, str | None]) -> Loaded:
    """Load the settings and print their warnings."""
    from local_ai.settings.load import load

    loaded = load(config_path=config, overrides=overrides)
    for warning in loaded.warnings:
        console.print_warning(warning)
    return loaded


def flag_of(parameter: str) -> str:
    """Write the option of a command's parameter."""
    return f"--{parameter.replace('_', '-')}"


def parse_seconds(option: str, text: str) -> float:
    """Parse an option's value; raises ConfigError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e6:
        raise _bad_number(option, text, "a number of seconds")
    return seconds


def parse_count(option: str, text: str) -> int:
    """Parse an option's value; raises ConfigError."""
    if not text.isdecimal():
        raise _bad_number(option, text, "a whole number, 0 or more")
    return int(text)


def _bad_number(option: str, text: str, expected: str) -> ConfigError:
    return ConfigError(
        "the command line is not valid", why=f"{option} must be {expected}, got {text!r}", fix=f"{option} 20"
    )

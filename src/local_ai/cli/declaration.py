"""The declaration of a command, from which `local-ai`, `inv`, help and completion are made."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from local_ai.errors import ConfigError
from local_ai.settings.model_names import name_of_address


@dataclass(frozen=True)
class Option:
    """One option: a switch, or with a `metavar` one that a value follows."""

    flag: str  # with its dashes
    help: str
    metavar: str = ""
    default: str | None = None
    shown_default: str = ""  # where the settings decide
    values: tuple[str, ...] = ()  # all that are allowed; empty for any
    other_names: Mapping[str, str] = field(default_factory=dict)  # of values
    parameter: str = ""  # of the function, where it is not the flag's
    is_model: bool = False
    is_file: bool = False

    @property
    def is_switch(self) -> bool:
        return not self.metavar

    @property
    def name(self) -> str:
        """The function's parameter."""
        return self.parameter or self.flag.removeprefix("--").replace("-", "_")

    @property
    def description(self) -> str:
        """The help with the allowed values and the default."""
        allowed = f"; one of {', '.join(self.values)}" if self.values else ""
        default = self.shown_default or self.default
        return f"{self.help}{allowed}" + (f" [default: {default}]" if default else "")


@dataclass(frozen=True)
class Argument:
    """The one word that a command wants after its name."""

    name: str
    help: str
    values: tuple[str, ...] = ()
    is_model: bool = False
    shown_default: str = ""  # where it can be left out
    other_names: Mapping[str, str] = field(default_factory=dict)  # that the function refuses in words

    @property
    def description(self) -> str:
        allowed = f"; one of {', '.join(self.values)}" if self.values else ""
        return self.help + allowed + (f" [default: {self.shown_default}]" if self.shown_default else "")


@dataclass(frozen=True)
class Command:
    """One command."""

    word: str
    summary: str
    example: str = ""  # what follows its name; "" where it is used alone
    options: tuple[Option, ...] = ()
    argument: Argument | None = None
    group: str = ""
    function: str = ""  # "module:function", imported when the command runs
    is_default: bool = False  # of its group
    takes_rest: bool = False  # words behind `--`, for another program

    @property
    def title(self) -> str:
        """Its name as it is typed: "server start"."""
        return f"{self.group} {self.word}"

    def option(self, flag: str) -> Option | None:
        """Find an option by its flag."""
        return next((option for option in self.options if option.flag == flag), None)

    def run(self, given: Mapping[str, Any]) -> int | None:
        """Check the values and run the function.

        Args:
            given: Per parameter that was given, its text, or True for a switch; `arguments` for the rest.

        Raises:
            ConfigError: A value is not one of those that are allowed.
        """
        module, _, name = self.function.partition(":")
        values: dict[str, Any] = {}
        for option in self.options:
            value = given.get(option.name, False if option.is_switch else option.default)
            values[option.name] = _checked(option, option.flag, value) if isinstance(value, str) else value
        if (wanted := self.argument) is not None:
            word = given.get(wanted.name)
            is_left_out = word is None and wanted.shown_default
            values[wanted.name] = None if is_left_out else _checked(wanted, wanted.name.upper(), word or "")
        if self.takes_rest:
            values["arguments"] = given.get("arguments", ())
        code: int | None = getattr(import_module(module), name)(**values)
        return code


def _checked(declared: Option | Argument, what: str, text: str) -> str:
    """Return a value under its own name; one that is not allowed is refused."""
    if declared.is_model:
        return name_of_address(text)
    values, other_names = declared.values, declared.other_names
    own = {value.lower(): value for value in values} | dict(other_names)
    if not values or text.lower() in own:
        return own.get(text.lower(), text)
    near = difflib.get_close_matches(text.lower(), own, n=1)
    best = near[0] if near and near[0] in other_names else own[near[0]] if near else values[0]
    raise ConfigError(
        "the command line is not valid",
        why=f"{what} is {text!r}, must be one of {', '.join(values)}",
        fix=f"{what} {best}" if what.startswith("-") else f"use {best}",
    )

"""Words of the command line → a command and its values. argparse reads the options; the words are ours."""

import argparse
import re
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from local_ai.cli.command_list import GROUPS, SHORT_FORMS, commands_of, find_command, find_short
from local_ai.cli.declaration import Command
from local_ai.errors import ConfigError

HELP_WORDS = {"--help", "-h"}


@dataclass(frozen=True)
class Wanted:
    """The request of a command line: to run a command, or for help on it, on a group, or on all."""

    command: Command | None = None
    group: str | None = None  # whose help
    is_help: bool = False
    values: dict[str, Any] = field(default_factory=dict)  # per parameter of the command


class _HelpFormatter(argparse.HelpFormatter):
    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)  # "mlx-omni-server" stays one word


class _Missing(Exception):
    """A word that the command needs is not there."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # All else that argparse refuses comes as an ArgumentError, which names the option.
        raise _Missing(message)


def parse(words: Sequence[str]) -> Wanted:
    """Understand a command line.

    Raises:
        ConfigError: It names no command, or an option or a value that the command does not have.
    """
    end = words.index("--") if "--" in words else len(words)
    own, rest = list(words[:end]), list(words[end + 1 :])
    if own[1:2] == ["help"] and own[0] in GROUPS:
        own[1] = "--help"
    is_help = bool(HELP_WORDS & set(own)) or own[:1] == ["help"]
    if is_help:
        own = [word for word in own if word not in HELP_WORDS]
        while own[:1] == ["help"]:
            own = own[1:]
    if not own or own[0] in {"--list", "-l"}:
        return Wanted(is_help=True)
    if own[0] in GROUPS and not own[1:2] and find_command(own[0], None) is None:
        return Wanted(group=own[0], is_help=True)  # one that only has commands that change something
    command, left, is_group = _named(own)
    if is_help:
        return Wanted(group=command.group, is_help=True) if is_group else Wanted(command, is_help=True)
    return Wanted(command, values=_values(command, left, rest))


def parser_of(command: Command) -> argparse.ArgumentParser:
    """Make the argparse parser of a command; it also writes its help."""
    is_optional = bool(command.argument and command.argument.shown_default)
    name = command.argument.name.upper() if command.argument else ""
    argument = f" [{name}]" if is_optional else f" {name}" if name else ""
    parser = _Parser(
        usage=f"local-ai {command.title}{argument}"
        + (" [options]" if command.options else "")
        + (" [-- words]" if command.takes_rest else ""),
        description=command.summary,
        epilog=f"example: local-ai {command.title} {command.example}".rstrip(),
        formatter_class=_HelpFormatter,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    if command.argument:
        parser.add_argument(
            command.argument.name,
            nargs="?" if is_optional else None,
            help=_literal(command.argument.description),
        )
    for option in command.options:
        kind: dict[str, Any] = {"action": "store_true"} if option.is_switch else {"metavar": option.metavar}
        parser.add_argument(option.flag, dest=option.name, help=_literal(option.description), **kind)
    return parser


def _literal(text: str) -> str:
    return text.replace("%", "%%")  # argparse formats help texts


def _named(words: list[str]) -> tuple[Command, list[str], bool]:
    """Find the command; returns it, the words behind its name, and whether a group alone was named."""
    from local_ai.cli.suggest import is_option, nearest_of_all

    first, *left = words
    if "." in first and first.partition(".")[0] in GROUPS:
        group, _, second = first.partition(".")
        first, left = group, [*([second] if second else []), *left]
    if first in GROUPS:
        word = left[0] if left and not left[0].startswith("-") else None
        if command := find_command(first, word):
            return command, left[1:] if word else left, word is None
    elif command := find_short(first):
        return command, left, False
    if is_option(first):
        near = nearest_of_all(words)
        raise ConfigError(
            f"local-ai has no option {first.partition('=')[0]}",
            why="options come after a command: local-ai COMMAND [options]",
            fix="did you mean" if near else "local-ai --help shows the commands",
            command=f"local-ai {near}" if near else "",
        )
    raise _no_command(first, left)


def _no_command(first: str, left: list[str]) -> ConfigError:
    from local_ai.cli.not_offered import instead_of
    from local_ai.cli.suggest import nearest_command

    in_group = first in GROUPS
    asked = f"{first} {_quoted(left[0])}" if in_group else _quoted(first)
    known = ", ".join(each.word for each in commands_of(first)) if in_group else ", ".join(GROUPS)
    short = "" if in_group else f"; in short {', '.join(SHORT_FORMS)}"
    if (instead := instead_of(*((first, left[0]) if in_group else ("", first)))) is None:
        near = nearest_command(first, left)
        other = f"{first} --help" if in_group else "--help"
        instead = "did you mean" if near else "", f"local-ai {near or other}"
    fix, command = instead
    return ConfigError(
        f"there is no command {asked}",
        why=f"{first if in_group else 'local-ai'} has: {known}{short}",
        fix=fix,
        command=command,
    )


def _values(command: Command, words: list[str], rest: list[str]) -> dict[str, Any]:
    from local_ai.cli.suggest import is_option

    parser = parser_of(command)
    for word in words:
        flag = word.partition("=")[0]
        if is_option(flag) and not flag.lstrip("-").isdecimal() and command.option(flag) is None:
            raise _no_option(command, flag, words)
    if rest and command.argument and not command.takes_rest:  # a name that begins with a dash
        words, rest = [*words, "--", *rest], []
    try:
        parsed, extra = parser.parse_known_args(words)
    except argparse.ArgumentError as exc:
        option = command.option(exc.argument_name or "")
        if option is None:
            raise _missing_argument(command) from exc
        raise _wrong_value(command, option.flag) from exc
    except _Missing as exc:
        raise _missing_argument(command) from exc
    if extra := [word for word in extra if word != "--"]:
        is_flag = extra[0].startswith("-")
        raise _no_option(command, extra[0], words) if is_flag else _too_much(command, extra)
    if command.argument and _is_blank(getattr(parsed, command.argument.name)):
        raise _missing_argument(command)
    if empty := next((each for each in command.options if _is_blank(getattr(parsed, each.name))), None):
        raise _wrong_value(command, empty.flag)
    if rest and not command.takes_rest:
        raise _too_much(command, rest)
    values = {name: value for name, value in vars(parsed).items() if value not in (None, False)}
    return {**values, "arguments": rest} if command.takes_rest else values


def _wrong_value(command: Command, flag: str) -> ConfigError:
    option = command.option(flag)
    assert option is not None
    if option.is_switch:
        return ConfigError(
            f"{flag} takes no value",
            why=f"it is a switch: {option.help}",
            fix=f"give {flag} alone",
        )
    sample = option.values[0] if option.values else option.metavar
    return ConfigError(
        f"{flag} needs a value",
        why=f"{option.metavar} is missing: {option.description}",
        fix=f"{flag} {sample}",
    )


def _no_option(command: Command, flag: str, words: list[str]) -> ConfigError:
    from local_ai.cli.suggest import is_option, nearest_option, with_plain_dashes

    what = f"{command.title} has no option {flag}"
    flags = ", ".join(option.flag for option in command.options)
    why = f"its options are {flags}" if flags else "it has no options"
    if command.takes_rest and command.argument:
        at = next(index for index, word in enumerate(words) if is_option(word))
        name = "".join(words[:at]) or command.argument.values[0]
        return ConfigError(
            what,
            why=f"{why}; a client's own options come after --",
            command=f"local-ai {command.title} {name} -- {shlex.join(map(with_plain_dashes, words[at:]))}",
        )
    near = nearest_option(flag, command)
    return ConfigError(what, why=why, fix=near, command="" if near else f"local-ai {command.title} --help")


def _missing_argument(command: Command) -> ConfigError:
    assert command.argument is not None
    name = command.argument.name.upper()
    is_here = command.argument.is_model and command.word != "pull"
    names = "; local-ai models list shows the names" if is_here else ""
    return ConfigError(
        f"{command.title} needs {name}",
        why=f"{name} is {command.argument.description}",
        fix=f"local-ai {command.title} {command.example.partition(' --')[0]}{names}",
    )


def _too_much(command: Command, extra: list[str]) -> ConfigError:
    from local_ai.cli.suggest import nearest_for_words

    takes = f"it takes one {command.argument.name.upper()}" if command.argument else "it takes only options"
    near = nearest_for_words(extra, command)
    return ConfigError(
        f"{command.title} does not take {extra[0]!r}",
        why=takes,
        fix="did you mean" if near else "",
        command=f"local-ai {near or f'{command.title} --help'}",
    )


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()  # as of an empty variable: "$MODEL"


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"\S+", word) and word.isprintable() else repr(word)

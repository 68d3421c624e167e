"""Each declaration fits the function that it names, and each example can be run."""

import inspect
import shlex
import sys
from importlib import import_module

import pytest

from local_ai.cli.command_list import COMMANDS, GROUPS, SHORT_FORMS, commands_of, find_short
from local_ai.cli.commands.server import StartOptions
from local_ai.cli.declaration import Command
from local_ai.cli.parser import parse
from local_ai.errors import ConfigError

each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.title)


@each_command
def test_function_takes_what_is_declared(command: Command):
    module, _, name = command.function.partition(":")
    function = getattr(import_module(module), name)
    taken = set(inspect.signature(function).parameters)
    if "options" in taken:  # start's and restart's
        taken = taken - {"options"} | set(StartOptions.__annotations__)

    declared = {option.name for option in command.options}
    declared |= {command.argument.name} if command.argument else set()
    declared |= {"arguments"} if command.takes_rest else set()
    assert taken == declared


@each_command
def test_example_is_a_command_line(command: Command):
    wanted = parse(shlex.split(f"{command.title} {command.example}"))

    assert wanted.command is command
    assert not wanted.is_help


def test_each_group_has_one_default_but_the_one_that_only_changes_a_file():
    defaults = {group: sum(each.is_default for each in commands_of(group)) for group in GROUPS}

    assert defaults == dict.fromkeys(GROUPS, 1) | {"completion": 0}


def test_each_short_form_means_one_command():
    assert [getattr(find_short(word), "title", None) for word in SHORT_FORMS] == [
        "server start",
        "server stop",
        "server restart",
        "server status",
        "server logs",
        "models pull",
        "models list",
        "self doctor",
        "self diagnostics",
        "self uninstall",
    ]


def test_values_reach_the_function_under_their_own_names(capsys: pytest.CaptureFixture[str]):
    options = parse(["server", "logs"]).command.options  # type: ignore[union-attr]
    shown = Command("b", "", options=options, function=f"{__name__}:show")

    shown.run({"program": "Engine"})

    assert capsys.readouterr().out == "mlx-omni-server 50 False False\n"


def show(*, program: str, lines: str, follow: bool, as_json: bool) -> None:
    sys.stdout.write(f"{program} {lines} {follow} {as_json}\n")


def test_value_that_is_not_allowed_is_refused_before_the_function_runs():
    wanted = parse(["server", "logs", "--program", "enigne"])
    assert wanted.command

    with pytest.raises(ConfigError) as refused:
        wanted.command.run(wanted.values)

    assert str(refused.value) == (
        "error: the command line is not valid\n"
        "  why: --program is 'enigne', must be one of mlx-omni-server, welcome-page, omni, supervisord\n"
        "  fix: --program engine"
    )

"""invoke's tasks are made from the same declarations."""

import pytest

from local_ai.cli.command_list import COMMANDS
from local_ai.cli.declaration import Command
from local_ai.cli.tasks import namespace


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.title)
def test_task_has_the_options_of_its_command(command: Command):
    task = namespace()[f"{command.group}.{command.word}"]

    arguments = {argument.name.replace("_", "-").rstrip("-"): argument for argument in task.get_arguments()}

    declared = {option.flag.removeprefix("--") for option in command.options}
    assert set(arguments) == declared | ({command.argument.name} if command.argument else set())
    for option in command.options:
        argument = arguments[option.flag.removeprefix("--")]
        assert argument.help == option.description
        assert argument.takes_value is not option.is_switch

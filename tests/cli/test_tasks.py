"""invoke's tasks are made from the same declarations."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from invoke import Exit
from tests.cli.test_parser import MISTAKES
from tests.waits import scaled

from local_ai.cli.command_list import COMMANDS, GROUPS
from local_ai.cli.declaration import Command
from local_ai.cli.tasks import namespace, read_as_local_ai

SERVER_HAS = "server has: start, stop, restart, status, logs"
TASKS = namespace()
CHECKOUT = Path(__file__).parents[2]


def dotted(line: str) -> str:
    """Write a command line as `inv` has it."""
    first, _, rest = line.partition(" ")
    return f"{first}.{rest}" if first in GROUPS and rest and not rest.startswith("-") else line


@pytest.fixture(autouse=True)
def called_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV", raising=False)  # `uv run pytest` would show in the commands


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


@pytest.mark.parametrize(
    ("line", "what", "why", "fix"),
    [(dotted(line), *told) for line, *told in MISTAKES if not line.endswith("=")]
    + [("server strt", "there is no command server strt", SERVER_HAS, "did you mean: local-ai server start")],
    ids=lambda value: value,
)
def test_mistake_under_inv_is_told_as_everywhere(
    line: str, what: str, why: str, fix: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(Exit) as ended:
        read_as_local_ai(TASKS, "/bin/inv", shlex.split(line))

    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {what}\n  why: {why}\n  fix: {fix}\n"


@pytest.mark.parametrize("line", ["help server start", "server start --help", "--help doctor", "help doctor"])
def test_help_under_inv_comes_wherever_it_is_asked_for(line: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(Exit) as ended:
        read_as_local_ai(TASKS, "/bin/inv", shlex.split(line))

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: local-ai ")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--list",
        "--list server",
        "--help server.start",
        "server.start --help",
        "-e server.status --json",
        "server.stop server.start --port 1",
        "client.launch codex -- exec",
        "--complete -- inv ser",
    ],
)
def test_what_invoke_understands_stays_its_own(line: str):
    read_as_local_ai(TASKS, "/bin/inv", shlex.split(line))


def test_inv_takes_the_short_form_of_a_command_and_names_commands_as_its_own():
    done = subprocess.run(
        [Path(sys.executable).with_name("inv"), "doctor", "--nope"],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=scaled(30),
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: self doctor has no option --nope\n"
        "  why: its options are --json, --fix\n"
        "  fix: inv self.doctor --help\n"
    )

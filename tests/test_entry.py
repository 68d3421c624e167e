"""Commands in texts are written as people here call local-ai."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import local_ai
from local_ai.cli.command_list import COMMANDS
from local_ai.entry import DEFAULT, as_called, entry_of, set_entry
from local_ai.errors import LocalAIError

ENTRIES = ["local-ai", "uv run local-ai", "inv", "uv run inv", "python -m local_ai"]


@pytest.fixture(autouse=True)
def default_entry() -> Iterator[None]:
    yield
    set_entry(DEFAULT)


@pytest.mark.parametrize(
    ("program", "by_uv", "entry"),
    [
        ("/home/ada/.local/bin/local-ai", False, "local-ai"),
        ("/x/.venv/bin/local-ai", True, "uv run local-ai"),
        ("/x/.venv/bin/inv", False, "inv"),
        ("/x/.venv/bin/invoke", True, "uv run inv"),
        ("/x/local_ai/__main__.py", False, "python -m local_ai"),
        ("/x/my_own_script.py", False, "local-ai"),
    ],
)
def test_entry_is_told_by_the_program(program: str, by_uv: bool, entry: str):
    assert entry_of(program, by_uv=by_uv) == entry


@pytest.mark.parametrize("written", ENTRIES)
@pytest.mark.parametrize("entry", ENTRIES)
def test_commands_of_any_form_are_written_as_they_are_called(entry: str, written: str):
    set_entry(written)
    text = as_called("fix that, then run: local-ai server start --port 1 (or local-ai models list)")
    set_entry(entry)

    mark = "." if entry.endswith("inv") else " "
    assert as_called(text) == (
        f"fix that, then run: {entry} server{mark}start --port 1 (or {entry} models{mark}list)"
    )


def test_commands_of_every_group_are_known():
    set_entry("uv run local-ai")

    written = [as_called(f"local-ai {command.title}") for command in COMMANDS]

    assert written == [f"uv run local-ai {command.title}" for command in COMMANDS]


@pytest.mark.parametrize(
    ("entry", "written"),
    [
        (
            "uv run local-ai",
            "uv run local-ai doctor, uv run local-ai --help or uv run local-ai server --help",
        ),
        ("inv", "inv doctor, inv --list or inv --list server"),
    ],
)
def test_short_forms_and_help_are_written_as_they_are_called(entry: str, written: str):
    set_entry(entry)

    assert as_called("local-ai doctor, local-ai --help or local-ai server --help") == written


def test_errors_name_commands_as_they_are_called():
    error = LocalAIError("it stopped", why="a reason", fix="local-ai server start")
    set_entry("uv run inv")

    assert str(error) == "error: it stopped\n  why: a reason\n  fix: uv run inv server.start"
    assert error.sentence == "it stopped: a reason. To fix it: uv run inv server.start"


def test_each_program_that_reads_the_record_of_a_start_takes_its_entry():
    programs = [file.read_text() for file in Path(local_ai.__file__).parent.rglob("__main__.py")]

    reading = [text for text in programs if "read_state(" in text]

    assert len(reading) == 4
    assert all("set_entry(state.entry)" in text for text in reading)


def test_each_program_is_deaf_to_the_signals_of_a_log_rotation():
    """Or served by one that is; supervisord's has its own way, and a command ends by them."""
    deaf = ("ignore_signals()", "local_ai.engine.isolation.serve", "supervisord.main()", "local_ai.cli")
    files = Path(local_ai.__file__).parent.rglob("__main__.py")

    assert [file for file in files if not any(sign in file.read_text() for sign in deaf)] == []

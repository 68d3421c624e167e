"""Help comes wherever it is asked for, with what each option means."""

import pytest

from local_ai.cli.command_list import COMMANDS, GROUPS, commands_of
from local_ai.cli.declaration import Command
from local_ai.cli.help import help_text
from local_ai.cli.parser import parse


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.title)
def test_help_on_a_command_comes_wherever_it_is_asked_for(command: Command):
    group, word = command.group, command.word
    lines = [
        [group, word, "--help"],
        [f"{group}.{word}", "-h"],
        ["help", group, word],
        ["help", f"{group}.{word}"],
        ["--help", group, word],
        ["-h", group, word],
        [group, "--help", word],
        [group, "help", word],
    ]

    texts = {help_text(parse(words)) for words in lines}

    assert len(texts) == 1
    (text,) = texts
    flat = " ".join(text.split())
    assert flat.startswith(f"usage: local-ai {group} {word}")
    assert command.summary in flat
    assert f"example: local-ai {group} {word} {command.example}".rstrip() in flat
    for option in command.options:
        assert f"{option.flag} {option.metavar}".rstrip() in flat
        assert option.description in flat
    if command.argument:
        assert command.argument.description in flat


@pytest.mark.parametrize("group", GROUPS)
def test_help_on_a_group_lists_its_commands(group: str):
    texts = {help_text(parse(words)) for words in ([group, "--help"], ["help", group], ["-h", group])}

    (text,) = texts
    assert all(f"  {each.word:<10}{each.summary}\n" in text for each in commands_of(group))


def test_group_whose_command_changes_a_file_shows_help_where_it_stands_alone():
    """People type `completion` for a script to read, as other programs have it."""
    assert help_text(parse(["completion"])) == help_text(parse(["help", "completion"]))
    assert parse(["completion"]).command is None


def test_help_on_options_is_whole():
    assert help_text(parse(["help", "stop"])) == (
        "usage: local-ai server stop [options]\n\n"
        "Stop the server; says whether it had to be killed.\n\n"
        "options:\n"
        "  --force            end it with SIGKILL at once, also when it does not answer\n"
        "  --timeout SECONDS  longest wait after SIGTERM before SIGKILL, in seconds\n"
        "                     [default: 10]\n\n"
        "example: local-ai server stop --timeout 60\n"
    )


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["--list"]], ids=" ".join)
def test_help_on_all_is_one_screen(words: list[str]):
    lines = help_text(parse(words)).splitlines()

    listed = [tuple(line.split()[:2]) for line in lines if line.startswith("  ")]
    assert listed == [(each.group, each.word) for each in COMMANDS]
    assert len(lines) <= 38

"""What is printed: nothing in it makes a terminal do anything."""

import os
import sys
from pathlib import Path

import pytest

from local_ai.cli import console, run
from local_ai.doctor.check import ok
from local_ai.errors import LocalAIError

BAD = Path(os.fsdecode(b"/models/a\nb\x1b[31m\xff\xe2\x80\xae"))
SHOWN = "/models/a\\nb\\x1b[31m\\xff\\u202e"


def test_a_table_shows_escapes_and_keeps_a_row_a_line(capsys: pytest.CaptureFixture[str]):
    console.print_table(["NAME", "PATH"], [["a", str(BAD)]])

    assert capsys.readouterr().out.splitlines() == ["NAME  PATH", f"a     {SHOWN}"]


def test_errors_warnings_notes_and_lines_show_escapes(capsys: pytest.CaptureFixture[str]):
    text = str(BAD)
    console.print_error(LocalAIError(f"no {text}", why=f"in {text}", fix=text, see=text))
    console.print_warning(text)
    console.print_note(text)
    console.print_line(text)

    printed = capsys.readouterr()
    shown = SHOWN
    assert printed.err == (
        f"error: no {shown}\n  why: in {shown}\n  fix: {shown}\n  see: {shown}\nwarning: {shown}\n{shown}\n"
    )
    assert printed.out == f"{shown}\n"


def test_checks_are_coloured_on_a_terminal_and_their_findings_show_escapes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(console, "_is_terminal", lambda _stream: True)

    console.print_checks([ok("folders", str(BAD))], has_fixed=False)

    assert capsys.readouterr().out.splitlines()[0] == f"\033[32m✓ ok     \033[0m  {'folders':<17}  {SHOWN}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_output_that_cannot_be_written_is_an_error_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(run, "set_entry", lambda _entry: None)  # kept, for the tests that follow
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = run.guarded(run.run_words, ["--version"])

    assert code == 1
    assert capsys.readouterr().err == (
        "error: the output could not be written\n"
        "  why: No space left on device\n"
        "  fix: free some space where it goes, or send it elsewhere\n"
    )

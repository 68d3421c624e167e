"""Errors a person sees."""

import ast
import re
from pathlib import Path

import local_ai
from local_ai.errors import ConfigError, HealthCheckError, LocalAIError, ServerError


def test_error_text_has_one_labelled_line_a_field():
    error = LocalAIError("it stopped", why="a reason", fix="local-ai server start", see="/tmp/a.log")

    assert str(error) == "error: it stopped\n  why: a reason\n  fix: local-ai server start\n  see: /tmp/a.log"


def test_error_text_indents_further_lines_and_leaves_out_what_is_not_there():
    error = LocalAIError("it stopped", why=["one", "two"], fix="fix it")

    assert str(error) == "error: it stopped\n  why: one\n       two\n  fix: fix it"


def test_a_line_break_in_a_name_or_path_does_not_begin_a_line():
    name = "a\nb\r\x1b[31m\u2028"
    error = LocalAIError(f"no {name}", why=[f"1 {name}", f"2 {name}"], fix=name, command=name, see=name)

    shown = "a\\nb\\r\\x1b[31m\\u2028"
    assert str(error).splitlines() == [
        f"error: no {shown}",
        f"  why: 1 {shown}",
        f"       2 {shown}",
        f"  fix: {shown}: {shown}",
        f"  see: {shown}",
    ]
    assert error.sentence == f"no {shown}: 1 {shown} 2 {shown}. To fix it: {shown}: {shown}"


def test_sentence_ends_once_where_the_reason_is_a_sentence_already():
    assert LocalAIError("it stopped", why="Not supported.", fix="fix it").sentence == (
        "it stopped: Not supported. To fix it: fix it"
    )


def test_error_sentence_is_one_line_for_api_clients():
    error = LocalAIError("it stopped", why=["one", "two"], fix="fix it")

    assert error.sentence == "it stopped: one two. To fix it: fix it"


def test_command_ends_the_fix_and_is_known_apart_from_it():
    error = LocalAIError(
        "it stopped", why="a reason", fix="read the log, then run", command="local-ai server start"
    )

    assert str(error).endswith("\n  fix: read the log, then run: local-ai server start")
    assert error.sentence == "it stopped: a reason. To fix it: read the log, then run: local-ai server start"


def test_no_fix_hides_the_command_that_ends_it():
    """The page offers to copy commands, which it never has to find in a sentence."""
    command = re.compile(r"(^|: )local-ai [a-z]+ [a-z]+( [^-A-Z\s()]+)?( --[a-z-]+( [^A-Z\s()]+)?)*$")
    trees = (ast.parse(file.read_text()) for file in Path(local_ai.__file__).parent.rglob("*.py"))
    keywords = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    fixes = [
        each.value.value for each in keywords if each.arg == "fix" and isinstance(each.value, ast.Constant)
    ]

    assert len(fixes) > 50
    assert [fix for fix in fixes if command.search(fix)] == []


def test_exit_codes_follow_the_kind_of_error():
    codes = [kind("w", why="y", fix="f").exit_code for kind in (LocalAIError, ConfigError, ServerError)]

    assert codes == [1, 2, 1]
    assert issubclass(HealthCheckError, ServerError)
    assert ServerError("w", why="y", fix="f", exit_code=5).exit_code == 5

"""Errors a person sees."""

from local_ai.errors import ConfigError, HealthCheckError, LocalAIError, ServerError


def test_error_text_has_one_labelled_line_a_field():
    error = LocalAIError("it stopped", why="a reason", fix="local-ai server start", see="/tmp/a.log")

    assert str(error) == "error: it stopped\n  why: a reason\n  fix: local-ai server start\n  see: /tmp/a.log"


def test_error_text_indents_further_lines_and_leaves_out_what_is_not_there():
    error = LocalAIError("it stopped", why="one\ntwo", fix="mend it")

    assert str(error) == "error: it stopped\n  why: one\n       two\n  fix: mend it"


def test_sentence_ends_once_where_the_reason_is_a_sentence_already():
    assert LocalAIError("it stopped", why="Not supported.", fix="mend it").sentence == (
        "it stopped: Not supported. To fix it: mend it"
    )


def test_error_sentence_is_one_line_for_api_clients():
    error = LocalAIError("it stopped", why="one\ntwo", fix="mend it")

    assert error.sentence == "it stopped: one two. To fix it: mend it"


def test_exit_codes_follow_the_kind_of_error():
    codes = [kind("w", why="y", fix="f").exit_code for kind in (LocalAIError, ConfigError, ServerError)]

    assert codes == [1, 2, 1]
    assert issubclass(HealthCheckError, ServerError)
    assert ServerError("w", why="y", fix="f", exit_code=5).exit_code == 5

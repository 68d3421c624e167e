"""One error, one shape per dialect, whichever program speaks."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest
from anthropic.types.shared import ErrorResponse
from openai.types.responses import ResponseErrorEvent

from local_ai.serving.dialects import (
    Dialect,
    dialect_of,
    error_body,
    error_event,
    error_response,
    refused_bytes,
    refused_response,
    stream_event,
)
from local_ai.serving.errors import ApiError, ContextLengthError

LOST = ApiError("it broke", why="of rust", fix="oil it", status=503, code="engine_lost", param="model")
SENTENCE = "it broke: of rust. To fix it: oil it"
STATUSES = [status.value for status in HTTPStatus if status.value >= 400]


def make_error(status: int) -> ApiError:
    return ApiError("it broke", why="of rust", fix="oil it", status=status)


def data_of(event: bytes) -> Any:
    return json.loads(event.decode().partition("data: ")[2])


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", Dialect.OPENAI),
        ("/v1/responses", Dialect.RESPONSES),
        ("/v1/responses/resp_1/cancel", Dialect.RESPONSES),
        ("/v1/responses-of-another-kind", Dialect.OPENAI),
        ("/anthropic/v1/messages", Dialect.ANTHROPIC),
        ("/anthropics", None),
        ("/api/chat", Dialect.OLLAMA),
        ("/", None),
    ],
)
def test_a_path_is_answered_in_its_dialect(path: str, dialect: Dialect | None):
    assert dialect_of(path) is dialect


@pytest.mark.parametrize(
    ("status", "openai", "anthropic"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (403, "permission_error", "permission_error"),
        (404, "invalid_request_error", "not_found_error"),
        (405, "invalid_request_error", "invalid_request_error"),
        (408, "invalid_request_error", "timeout_error"),
        (413, "invalid_request_error", "request_too_large"),
        (415, "invalid_request_error", "invalid_request_error"),
        (422, "invalid_request_error", "invalid_request_error"),
        (429, "rate_limit_error", "rate_limit_error"),
        (500, "server_error", "api_error"),
        (503, "server_error", "overloaded_error"),
        (504, "server_error", "timeout_error"),
    ],
)
def test_the_type_follows_from_the_status_alone(status: int, openai: str, anthropic: str):
    error = make_error(status)

    for source in ("gateway", "engine"):
        assert error_body(Dialect.OPENAI, error, source=source)["error"]["type"] == openai
        assert error_body(Dialect.RESPONSES, error, source=source)["error"]["type"] == openai
        assert error_body(Dialect.ANTHROPIC, error, source=source)["error"]["type"] == anthropic
        assert error_body(Dialect.ANTHROPIC, error, source=source)["source"] == source


@pytest.mark.parametrize("status", [status for status in STATUSES if status != 413])
def test_every_anthropic_error_is_one_that_its_sdk_knows(status: int):
    ErrorResponse.model_validate(error_body(Dialect.ANTHROPIC, make_error(status)), strict=True)


def test_openai_s_error_has_all_four_keys():
    body = error_body(Dialect.OPENAI, LOST)

    error = {"message": SENTENCE, "type": "server_error", "param": "model", "code": "engine_lost"}
    assert body == {"error": error, "source": "gateway"}


def test_anthropic_s_error_carries_what_its_clients_act_on():
    details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    error = ApiError("no", why="no", fix="no", details=details)

    assert error_body(Dialect.ANTHROPIC, error)["error"]["details"] == details
    assert "details" not in error_body(Dialect.ANTHROPIC, LOST)["error"]


def test_anthropic_s_clients_find_the_words_they_look_for():
    error = ContextLengthError("messages", "why", "fix", prompt=70, context=64)

    words = "prompt is too long: 70 tokens > 64 maximum. messages cannot be used: "
    assert error_body(Dialect.ANTHROPIC, error)["error"]["message"].startswith(words)
    assert error_body(Dialect.OPENAI, error)["error"]["message"].startswith("messages cannot be used: ")


def test_ollama_s_error_is_a_text_in_which_its_clients_find_the_words_they_look_for():
    gone = ApiError("m is not there", why="w", fix="f", status=404, code="model_not_found")

    assert error_body(Dialect.OLLAMA, LOST) == {"error": SENTENCE, "source": "gateway"}
    assert error_body(Dialect.OLLAMA, gone)["error"].startswith("model not found: m is not there: ")
    assert error_event(Dialect.OLLAMA, LOST).endswith(b'"gateway"}\n')


def test_an_error_ends_a_stream_in_its_dialect():
    openai, anthropic, responses = (
        error_event(each, LOST, sequence_number=7)
        for each in (Dialect.OPENAI, Dialect.ANTHROPIC, Dialect.RESPONSES)
    )

    assert data_of(openai) == error_body(Dialect.OPENAI, LOST)
    assert openai.startswith(b"data: ")
    assert data_of(anthropic) == error_body(Dialect.ANTHROPIC, LOST)
    assert anthropic.startswith(b"event: error\n")
    assert responses.startswith(b"event: error\n")
    told = ResponseErrorEvent.model_validate(data_of(responses), strict=True)
    assert (told.sequence_number, told.code, told.message, told.param) == (7, LOST.code, SENTENCE, "model")


@pytest.mark.parametrize("dialect", Dialect)
def test_an_error_that_the_engine_wrote_is_the_same_event(dialect: Dialect):
    written = error_response(dialect, LOST).body.decode()

    assert stream_event(dialect, written, sequence_number=3) == error_event(dialect, LOST, sequence_number=3)


@pytest.mark.parametrize(("status", "seconds"), [(429, "5"), (503, "5"), (422, None)])
def test_what_may_succeed_later_says_when(status: int, seconds: str | None):
    assert error_response(Dialect.OPENAI, make_error(status)).headers.get("retry-after") == seconds


def test_half_a_character_in_an_error_can_be_written():
    error = ApiError("\ud800", why="w", fix="f", param="a\ud800")

    told = json.loads(error_response(Dialect.OPENAI, error).body)["error"]

    assert told["message"].startswith("\\ud800: w")
    assert told["param"] == "a?"


def test_an_answer_outside_the_apis_is_plain_text():
    response = refused_response("/queue", LOST)

    assert response.media_type == "text/plain"
    assert response.body == f"{LOST}\n".encode()


def test_an_answer_without_a_request_is_whole_and_the_last():
    head, _, body = refused_bytes("/v1/models", make_error(431), request_id="req_1").partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"connection: close" in head.lower()
    assert f"content-length: {len(body)}".encode() in head

"""What is wrong with a body is named: the field by its path, the value, what is allowed, and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from tests.engine.api.test_api_tables import MESSAGES, MODELS, READERS

from local_ai.serving.errors import ApiError

CHAT, COMPLETION = "POST /v1/chat/completions", "POST /v1/completions"
OLLAMA, RERANK = "POST /api/chat", "POST /v1/rerank"
TEXT = {"type": "text", "text": "x"}
BROKEN_CALL = {"function": {"name": "f", "arguments": "x"}}
RESPONSES, ANTHROPIC = "POST /v1/responses", "POST /anthropic/v1/messages"


def refusal(heading: str, **fields: Any) -> ApiError:
    read, body = READERS[heading]
    with pytest.raises(ApiError) as caught:
        read(body | fields)
    return caught.value


@pytest.mark.parametrize(
    ("heading", "asked", "fix"),
    [
        (CHAT, "enable_thinking", "did you mean chat_template_kwargs or reasoning_effort?"),
        (ANTHROPIC, "enable_thinking", "did you mean thinking?"),
        (RESPONSES, "enable_thinking", "did you mean reasoning?"),
        (RESPONSES, "reasoning_effort", "did you mean reasoning?"),
        (CHAT, "thinking", "did you mean reasoning_effort?"),
        (CHAT, "draft-model", "leave it out"),
        (CHAT, "repetition_context_size", "leave it out"),
        (CHAT, "min_tokens", "leave it out"),
        (CHAT, "min-tokens", "leave it out"),
        (CHAT, "prompt_logprobs", "leave it out"),
        (COMPLETION, "prompt_logprobs", "leave it out"),
        (CHAT, "best_of", "leave it out"),
        (CHAT, "num_ctx", "leave it out"),
        (CHAT, "max_new_tokens", "did you mean max_completion_tokens?"),
        (RESPONSES, "max_tokens", "did you mean max_output_tokens?"),
        (ANTHROPIC, "max_completion_tokens", "did you mean max_tokens?"),
        (CHAT, "stop_sequences", "did you mean stop?"),
        (ANTHROPIC, "stop", "did you mean stop_sequences?"),
        (CHAT, "system", "did you mean messages?"),
        (RESPONSES, "messages", "did you mean input?"),
        (CHAT, "format", "did you mean response_format?"),
        (RESPONSES, "response_format", "did you mean text?"),
        (CHAT, "repeat_penalty", "did you mean repetition_penalty?"),
        (CHAT, "toolChoice", "did you mean tool_choice?"),
        (CHAT, "max_token", "did you mean max_tokens?"),
        (CHAT, "temprature", "did you mean temperature?"),
        (CHAT, "frequency-penalty", "did you mean frequency_penalty?"),
        (CHAT, "function_calls", "did you mean tool_choice?"),
        (CHAT, "quite_another_thing", "leave it out"),
        (OLLAMA, "temperature", "did you mean options.temperature?"),
        (OLLAMA, "max_tokens", "did you mean options.num_predict?"),
        (OLLAMA, "response_format", "did you mean format?"),
        (RERANK, "top_k", "did you mean top_n?"),
        (RERANK, "passages", "did you mean documents?"),
        (RERANK, "question", "did you mean query?"),
    ],
)
def test_a_hint_goes_by_meaning_before_spelling(heading: str, asked: str, fix: str):
    error = refusal(heading, **{asked: 1})

    assert (error.code, error.param, error.fix) == ("unknown_parameter", asked, fix)


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        (CHAT, "max_tokens"),
        (CHAT, "max_completion_tokens"),
        (COMPLETION, "max_tokens"),
        (RESPONSES, "max_output_tokens"),
        (ANTHROPIC, "max_tokens"),
    ],
)
@pytest.mark.parametrize("value", [-1, 0])
def test_a_length_that_stands_for_none_is_to_be_left_out(heading: str, field: str, value: int):
    error = refusal(heading, **{field: value})

    assert (error.param, error.why) == (field, f"it must be from 1 to 1000000000000, got {value}")
    assert error.fix.startswith("leave it out: ")


@pytest.mark.parametrize(
    ("heading", "fields", "param", "why"),
    [
        (CHAT, {"messages": [3]}, "messages[0]", "it must be an object, got 3"),
        (CHAT, {"messages": None}, "messages", "it is required and missing"),
        (CHAT, {"messages": []}, "messages", "it is empty"),
        (CHAT, {"messages": [{"content": "x"}]}, "messages[0].role", "it is required and missing"),
        (
            CHAT,
            {"messages": [{"role": "robot"}]},
            "messages[0].role",
            "it must be one of system, developer, user, assistant, tool, got 'robot'",
        ),
        (
            CHAT,
            {"messages": [*MESSAGES, {"role": "user", "content": 5}]},
            "messages[1].content",
            "it must be a text or a list of parts, got 5",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [TEXT, {"type": "video_url"}]}]},
            "messages[0].content[1]",
            "the models here read text and pictures only, and this part's type is 'video_url'",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [TEXT, {"type": "image_url", "image_url": 5}]}]},
            "messages[0].content[1].image_url",
            'it must be an object, {"url": …}, got 5',
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "text", "txt": "a"}]}]},
            "messages[0].content[0].text",
            "it is required and missing",
        ),
        (
            CHAT,
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "x"}}]}
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
            "it must be a JSON object, as text, got 'x'",
        ),
        (CHAT, {"tools": [{"type": "function"}]}, "tools[0].function", "it is required and missing"),
        (
            CHAT,
            {"tool_choice": 3},
            "tool_choice",
            "it must be none, auto, required, a named tool or allowed_tools, got 3",
        ),
        (COMPLETION, {"prompt": []}, "prompt", "it is empty"),
        (COMPLETION, {"prompt": ["x"] * 17}, "prompt", "it has 17 entries, 16 are allowed"),
        (
            COMPLETION,
            {"prompt": [[]]},
            "prompt",
            "it must be a text, token ids, or a list of either, got [[]]",
        ),
        (RESPONSES, {"input": [5]}, "input[0]", "it must be an object, got 5"),
        (RESPONSES, {"input": []}, "input", "it is empty"),
        (RESPONSES, {"tools": [{"name": "f"}]}, "tools[0].type", "it is required and missing"),
        (
            ANTHROPIC,
            {"tools": [{"type": "bash_20250124", "name": "bash"}]},
            "tools[0].type",
            "'bash_20250124' runs on Anthropic's servers",
        ),
        (
            ANTHROPIC,
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "messages[0].content[0]",
            "blocks of type 'video' cannot be read here",
        ),
        (
            ANTHROPIC,
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "txt": 1}]}]},
            "messages[0].content[0].txt",
            "there is no such field here",
        ),
        (ANTHROPIC, {"system": 5}, "system", "it must be a text or a list of text blocks, got 5"),
        (
            ANTHROPIC,
            {"output_config": {"format": {"type": "json_schema"}}},
            "output_config.format.schema",
            "it is required and missing",
        ),
    ],
)
def test_a_fault_is_named_by_its_path_and_says_what_is_allowed(
    heading: str, fields: dict[str, Any], param: str, why: str
):
    error = refusal(heading, **fields)

    assert (error.status, error.param, error.why) == (400, param, why)


def meant(found: Any) -> Any:
    """Return the request to the core that a body makes; the body itself where no model writes text for it."""
    return found.asks if hasattr(found, "asks") else getattr(found, "ask", found)


@pytest.mark.parametrize("heading", READERS)
def test_null_is_as_good_as_absent_in_every_field_that_is_not_required(heading: str):
    read, body = READERS[heading]
    nothing = {name: None for name, field in MODELS[heading].model_fields.items() if not field.is_required()}

    silent, plain = read(nothing | body), read(body)

    # Items of a response get new ids each time.
    assert meant(silent) == meant(plain)


def test_a_refusal_carries_what_official_clients_act_on():
    error = refusal(ANTHROPIC, thread={"type": "auto"})

    assert error.details == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


def test_hints_for_a_cache_have_no_effect_on_parts_and_tools():
    read, body = READERS[CHAT]
    hint = {"cache_control": {"type": "ephemeral"}}
    tool = {"type": "function", "function": {"name": "f"}}
    messages = [{"role": "user", "content": [TEXT | hint]}]

    with_hints = read({"messages": messages, "tools": [tool | hint]})

    assert meant(with_hints) == meant(read(body | {"tools": [tool]}))


def test_more_faults_than_anybody_wants_to_read_take_no_longer():
    read, body = READERS[CHAT]

    with pytest.raises(ApiError) as caught:
        read(body | {f"k{number}": number for number in range(20_000)})

    assert (caught.value.param, caught.value.code) == ("k0", "unknown_parameter")


@pytest.mark.parametrize(
    ("heading", "field"), [(CHAT, "messages"), (ANTHROPIC, "messages"), (RESPONSES, "input"), (CHAT, "tools")]
)
@pytest.mark.parametrize("wrong", [{}, [], "a", {"type": "text"}], ids=str)
def test_a_list_of_faults_is_as_many_findings_as_its_first_entry(heading: str, field: str, wrong: object):
    """A million findings took the engine half a minute, in which nobody else got an answer."""
    with pytest.raises(ValidationError) as caught:
        MODELS[heading].model_validate_json(json.dumps({field: [wrong] * 1000}))

    assert caught.value.error_count() < 50


def test_a_value_that_is_shown_is_cut():
    error = refusal(CHAT, reasoning_effort="x" * 5000)

    assert len(json.dumps(error.why)) < 200


@pytest.mark.parametrize(
    ("heading", "field"),
    [(CHAT, "max_tokens"), (CHAT, "max_completion_tokens"), (RESPONSES, "max_output_tokens")],
)
def test_no_bound_is_asked_for_by_leaving_it_out(heading: str, field: str):
    assert refusal(heading, **{field: -1}).sentence == (
        f"{field} cannot be used: it must be from 1 to 1000000000000, got -1. To fix it: leave it out: "
        "the settings' generation.max_tokens holds then, as far as the context goes"
    )

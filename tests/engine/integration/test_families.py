"""Calls and thoughts of families, through the real path: models that say what their families say."""

# ruff: noqa: E501 (what models write stands as it is written)

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.running import RunningEngine, running_engine
from tests.scripted_model import make_saying_model

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "note": {"type": ["string", "null"]}},
}
FUNCTION = {"name": "fs-read", "description": "Reads", "parameters": PARAMETERS}
OPENAI_TOOLS = [{"type": "function", "function": FUNCTION}]
ANTHROPIC_TOOLS = [{"name": "fs-read", "description": "Reads", "input_schema": PARAMETERS}]
RESPONSES_TOOLS = [{"type": "function"} | FUNCTION]
ASKED = [{"role": "user", "content": "Read."}]

# name: what its template has, what it says, then thought, text and calls' arguments as clients get them.
HARMONY = (
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
    '<|start|>assistant<|channel|>commentary to=functions.fs-read <|constrain|>json<|message|>{"path": "a"}'
)
MODELS: dict[str, tuple[str, str, str, str, list[dict[str, Any]]]] = {
    "gpt-oss": ("<|channel|> <|message|>", HARMONY, "hm", "I look.", [{"path": "a"}]),
    "gpt-oss-final": (
        "<|channel|> <|message|>",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Paris.",
        "hm",
        "Paris.",
        [],
    ),
    "magistral": (
        "[TOOL_CALLS] [ARGS] [THINK] [/THINK]",
        '[THINK]hm[/THINK]I look.[TOOL_CALLS]fs-read[CALL_ID]abc123xyz[ARGS]{"path": "a"}[TOOL_CALLS]fs-read[ARGS]{"path": "b"}',
        "hm",
        "I look.",
        [{"path": "a"}, {"path": "b"}],
    ),
    "mistral": (
        "[TOOL_CALLS]",
        '[TOOL_CALLS] [{"name": "fs-read", "arguments": {"path": "a"}}]',
        "",
        "",
        [{"path": "a"}],
    ),
    "coder": (
        "<tool_call>\n<function=",
        "I look.\n<function=fs-read>\n<parameter=path>\nthe </parameter> tag\n</parameter>\n<parameter=note>\nnull\n</parameter>\n</function>\n</tool_call>",
        "",
        "I look.\n",
        [{"path": "the </parameter> tag", "note": None}],
    ),
    "deepseek": (
        "<｜tool▁calls▁begin｜>",
        'I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>fs-read\n```json\n{"path": "a"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        "",
        "I look.",
        [{"path": "a"}],
    ),
    "lfm2": (
        "<|tool_call_start|>",
        '<|tool_call_start|>[fs-read(path="a"), fs-read(path="b, c")]<|tool_call_end|>I look.',
        "",
        "I look.",
        [{"path": "a"}, {"path": "b, c"}],
    ),
    "llama": (
        "<|python_tag|>",
        '{"name": "fs-read", "parameters": {"path": "a"}}',
        "",
        "",
        [{"path": "a"}],
    ),
    "seed": (
        "<seed:tool_call> <seed:think> </seed:think>",
        "<seed:think>hm</seed:think><seed:tool_call><function=fs-read><parameter=path>a</parameter></function></seed:tool_call>",
        "hm",
        "",
        [{"path": "a"}],
    ),
    "inventor": (
        "[TOOL_CALLS] [ARGS]",
        'I look.[TOOL_CALLS]read[ARGS]{"path": "a"}',
        "",
        'I look.read{"path": "a"}',
        [],
    ),
}
CONTROL = (
    "<|",
    "|>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "[CALL_ID]",
    "[THINK]",
    "[/THINK]",
    "｜",
    "<seed:",
    "</seed:",
)


def _fill(folder: Path) -> None:
    for name, (template, says, *_) in MODELS.items():
        make_saying_model(folder / name, says, template=template)
    make_saying_model(folder / "special", "Par<|odd|>is.", special=("<|odd|>",))
    make_saying_model(
        folder / "special-marks",
        HARMONY.partition("<|start|>")[0],
        template="<|channel|> <|message|>",
        special=("<|channel|>", "<|message|>", "<|end|>"),
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[RunningEngine]:
    with running_engine(_fill, {"model": {"path": "mistral"}}) as engine:
        yield engine


@pytest.mark.parametrize("name", MODELS)
def test_chat_answers_have_thought_text_and_calls(engine: RunningEngine, name: str):
    _, _, thought, text, calls = MODELS[name]
    body = {"model": name, "messages": ASKED, "tools": OPENAI_TOOLS, "max_tokens": 400}

    (choice,) = engine.post("/v1/chat/completions", body).json()["choices"]
    chunks = [
        chunk["choices"][0] for chunk in engine.events("/v1/chat/completions", body) if chunk["choices"]
    ]

    message = choice["message"]
    assert [
        (one["function"]["name"], json.loads(one["function"]["arguments"]))
        for one in message.get("tool_calls") or []
    ] == [("fs-read", one) for one in calls]
    assert ((message.get("reasoning_content") or ""), (message["content"] or "")) == (thought, text)
    assert choice["finish_reason"] == ("tool_calls" if calls else "stop")
    streamed = [call for chunk in chunks for call in chunk["delta"].get("tool_calls") or []]
    assert [json.loads(one["function"]["arguments"]) for one in streamed] == calls
    assert "".join(chunk["delta"].get("content") or "" for chunk in chunks) == text
    assert "".join(chunk["delta"].get("reasoning_content") or "" for chunk in chunks) == thought


@pytest.mark.parametrize("name", MODELS)
def test_messages_have_thinking_text_and_tool_use(engine: RunningEngine, name: str):
    _, _, thought, text, calls = MODELS[name]
    body = {
        "model": name,
        "messages": ASKED,
        "tools": ANTHROPIC_TOOLS,
        "max_tokens": 400,
        "thinking": {"type": "adaptive"},
    }

    answer = engine.post("/anthropic/v1/messages", body).json()
    events = engine.events("/anthropic/v1/messages", body)

    assert [block["input"] for block in answer["content"] if block["type"] == "tool_use"] == calls
    assert "".join(block.get("text", "") for block in answer["content"]) == text
    assert "".join(block.get("thinking", "") for block in answer["content"]) == thought
    assert answer["stop_reason"] == ("tool_use" if calls else "end_turn")
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == text
    assert "".join(delta.get("thinking", "") for delta in deltas) == thought
    assert "".join(delta.get("partial_json", "") for delta in deltas) == "".join(
        json.dumps(one) for one in calls
    )


@pytest.mark.parametrize("name", MODELS)
def test_responses_have_items_of_each_kind(engine: RunningEngine, name: str):
    _, _, thought, text, calls = MODELS[name]
    body = {"model": name, "input": "Read.", "tools": RESPONSES_TOOLS, "max_output_tokens": 400}

    output = engine.post("/v1/responses", body).json()["output"]

    assert [json.loads(item["arguments"]) for item in output if item["type"] == "function_call"] == calls
    assert (
        "".join(part["text"] for item in output if item["type"] == "message" for part in item["content"])
        == text
    )
    assert thought in json.dumps([item for item in output if item["type"] == "reasoning"])


@pytest.mark.parametrize("limit", [3, 8, 15, 22, 400])
@pytest.mark.parametrize("name", MODELS)
def test_no_control_token_reaches_a_client(engine: RunningEngine, name: str, limit: int):
    """Cut anywhere, with tools and without, in each dialect, streamed or not."""
    for tools in (OPENAI_TOOLS, []):
        body = {"model": name, "messages": ASKED, "max_tokens": limit} | ({"tools": tools} if tools else {})
        shown = _texts(engine.post("/v1/chat/completions", body).json())
        shown += _texts(engine.events("/v1/chat/completions", body))
        assert [mark for mark in CONTROL[:8] if mark in shown] == []
    body = {"model": name, "messages": ASKED, "max_tokens": limit}
    shown = _texts(engine.post("/anthropic/v1/messages", body).json()) + _texts(
        engine.events("/anthropic/v1/messages", body)
    )
    assert [mark for mark in CONTROL[:8] if mark in shown] == []


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_special_token_that_means_nothing_here_is_no_text(engine: RunningEngine, path: str):
    asked = {"prompt": "<|after_user|>"} if path == "/v1/completions" else {"messages": ASKED}
    body = {"model": "special", "max_tokens": 9, **asked}

    (choice,) = engine.post(path, body).json()["choices"]
    chunks = engine.events(path, body)

    assert choice.get("text", choice.get("message", {}).get("content")) == "Paris."
    assert _texts(chunks) == "Paris."


def test_marks_that_are_special_tokens_are_read(engine: RunningEngine):
    (choice,) = engine.post(
        "/v1/chat/completions", {"model": "special-marks", "messages": ASKED, "max_tokens": 40}
    ).json()["choices"]

    assert (choice["message"]["reasoning_content"], choice["message"]["content"] or "") == ("hm", "")


def _texts(found: Any) -> str:
    """Join every text a client shows."""
    if isinstance(found, list):
        return "".join(_texts(one) for one in found)
    if not isinstance(found, dict):
        return ""
    own = [
        found[key]
        for key in ("content", "reasoning_content", "text", "thinking")
        if isinstance(found.get(key), str)
    ]
    return "".join(own) + "".join(_texts(one) for one in found.values())

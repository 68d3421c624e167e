"""Tools of a chat: functions and custom ones, which of them may be called, and how their calls come back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage

from local_ai.engine.api.body import Understood
from local_ai.engine.api.openai.request import ChatRequest
from local_ai.engine.api.openai.response import ChatChoice
from local_ai.engine.api.problems import understand
from local_ai.engine.text.conversation import Call, CallPiece, Ended, ToolChoice, Usage
from local_ai.serving.errors import ApiError
from local_ai.settings.schema import GenerationSettings

FORM = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /.+/"}}
PATCH = {"type": "custom", "custom": {"name": "patch", "description": "Edit.", "format": FORM}}
READ = {"type": "function", "function": {"name": "read"}}
CHOOSE_PATCH = {"type": "custom", "custom": {"name": "patch"}}
ASKED = {"role": "user", "content": "hi"}


def read(**fields: Any) -> Understood[ChatRequest]:
    body = {"messages": [ASKED], "tools": [PATCH, READ]} | fields
    return understand(json.dumps(body).encode(), ChatRequest, lambda _: GenerationSettings())


def test_a_custom_tool_is_a_function_of_one_text_to_the_model():
    patch, plain = read().asks[0].tools

    assert (patch.name, plain.name) == ("patch", "read")
    assert patch.description == (
        "Edit.\nCall it with its whole text as 'input'.\nThe text keeps to this lark grammar:\nstart: /.+/"
    )
    assert patch.parameters["required"] == ["input"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_of_a_custom_tool_carries_its_text(stream: bool):
    words: Any = None
    choice = ChatChoice(0, words, False, read().body.custom_names())
    chunks = [
        choice.add(CallPiece(Call("c1", "patch", '{"input": "*** Begin"}'))),
        choice.add(CallPiece(Call("c2", "read", '{"path": "a"}'))),
        choice.add(Ended("tool_calls", Usage(1, 0, 1))),
    ]
    called = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}

    if stream:
        assert chunks[0] is not None
        assert chunks[0]["delta"]["tool_calls"] == [{"index": 0, **called}]
    else:
        message = ChatCompletionMessage.model_validate(choice.whole()["message"])
        assert [call.to_dict() for call in message.tool_calls or ()] == [
            called,
            {"id": "c2", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}},
        ]


def test_a_history_of_custom_calls_is_what_the_model_said():
    called = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    messages = [
        ASKED,
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "Done."},
    ]

    assert read(messages=messages).asks[0].messages[1].calls == (
        Call("c1", "patch", '{"input": "*** Begin"}'),
    )


@pytest.mark.parametrize(
    ("choice", "expected", "offered"),
    [
        (CHOOSE_PATCH, ToolChoice("named", "patch"), ["patch", "read"]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CHOOSE_PATCH]}},
            ToolChoice("required"),
            ["patch"],
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [READ]}},
            ToolChoice("auto"),
            ["read"],
        ),
    ],
    ids=["named", "required of some", "some"],
)
def test_a_choice_names_tools_of_either_kind(choice: Any, expected: ToolChoice, offered: list[str]):
    ask = read(tool_choice=choice).asks[0]

    assert (ask.tool_choice, [tool.name for tool in ask.tools]) == (expected, offered)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tool_choice": {"type": "custom", "custom": {"name": "write"}}}, "no tool is named 'write'"),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "custom", "custom": {"name": "write"}}],
                    },
                }
            },
            "no tool is named 'write'",
        ),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].custom.name cannot be used"),
        ({"tools": [{"type": "custom"}]}, "tools[0].custom cannot be used"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type cannot be used"),
        (
            {
                "messages": [
                    ASKED,
                    {"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "patch"}}]},
                ]
            },
            "messages[1].tool_calls[0].custom.input cannot be used",
        ),
        (
            {"messages": [ASKED, {"role": "assistant", "tool_calls": [{"type": "function", "custom": {}}]}]},
            "messages[1].tool_calls[0]",
        ),
    ],
)
def test_what_is_wrong_with_a_tool_is_named(fields: dict[str, Any], words: str):
    with pytest.raises(ApiError) as refused:
        read(**fields)

    assert words in refused.value.sentence

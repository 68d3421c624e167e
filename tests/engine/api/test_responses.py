"""The Responses API in the core's terms and back, without a model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests import coroutines

from local_ai.engine.api.responses.items import join_turns, read_item
from local_ai.engine.api.responses.request import read_response_request
from local_ai.engine.api.responses.response import ResponseBuilder
from local_ai.engine.api.responses.store import ResponseStore
from local_ai.engine.api.responses.tools import Toolbox
from local_ai.engine.api.responses.truncate import open_with_fewer_turns
from local_ai.engine.text.conversation import (
    Ask,
    Begun,
    Call,
    CallPiece,
    Ended,
    Message,
    Piece,
    ReasoningPiece,
    TextPiece,
    ToolChoice,
    Usage,
)
from local_ai.serving.errors import ApiError
from local_ai.settings.schema import GenerationSettings

DEFAULTS = GenerationSettings()
FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "blue"}
THOUGHT = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}], "summary": []}
USAGE = Usage(prompt=9, cached=4, answer=3)


def read(**fields: Any) -> Any:
    return read_response_request(json.dumps({"input": "x"} | fields).encode(), lambda _model: DEFAULTS)


def said(text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def turns(*items: dict[str, Any]) -> list[Message]:
    return join_turns([read_item(item, "input") for item in items])


def builder(**fields: Any) -> ResponseBuilder:
    return ResponseBuilder(**({"model": "m", "echo": {}, "toolbox": Toolbox((), {})} | fields))


def test_what_the_assistant_thought_said_and_called_is_one_turn():
    assert turns(THOUGHT, said("Let me look."), CALL, CALL | {"call_id": "c2"}) == [
        Message("assistant", "Let me look.", "hm", (Call("c1", "look", "{}"), Call("c2", "look", "{}")))
    ]


def test_a_thought_or_words_after_a_call_begin_another_turn():
    assert [m.role for m in turns(CALL, RESULT, THOUGHT, said("Blue."))] == ["assistant", "tool", "assistant"]
    assert len(turns(said("a"), said("b"))) == 2
    assert len(turns(CALL, THOUGHT)) == 2


def test_text_alone_is_a_message_of_the_user():
    assert read(input="hello").ask.messages == (Message("user", "hello"),)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (
            {"type": "weather_call", "id": "x"},
            "input[0] cannot be used: items of type 'weather_call' cannot be read here.",
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
            "input[0].content[0] cannot be used: the models here read text and pictures only, and this "
            "part's type is 'input_audio'.",
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]},
            "input[0].content[0].file_id cannot be used: no files are kept here.",
        ),
        (
            {"role": "user", "content": [{"type": "input_image"}]},
            "input[0].content[0] cannot be used: image_url is required and missing.",
        ),
        (CALL | {"arguments": "x"}, "input[0].arguments cannot be used: it must be a JSON object, as text"),
        ({"role": "user"}, "input[0].content cannot be used: it is required and missing."),
        ({"role": "robot", "content": "x"}, "input[0].role cannot be used: it must be one of system,"),
        ({"type": "item_reference", "id": "x"}, "input[0] cannot be used: no item 'x' is kept here"),
    ],
)
def test_items_that_cannot_be_read_are_refused_by_name(item: dict[str, Any], sentence: str):
    with pytest.raises(ApiError) as caught:
        read(input=[item])

    assert caught.value.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ({"type": "file_search"}, "tools[0] cannot be used: of type 'file_search', it runs on OpenAI's"),
        ({"type": "mcp"}, "tools[0] cannot be used: of type 'mcp', it runs on OpenAI's servers"),
        ({"type": "custom"}, "tools[0].name cannot be used: it is required and missing."),
        ({"type": "function"}, "tools[0].name cannot be used: it is required and missing."),
    ],
)
def test_tools_that_cannot_be_called_are_refused_by_name(tool: dict[str, Any], sentence: str):
    with pytest.raises(ApiError) as caught:
        read(tools=[tool])

    assert caught.value.sentence.startswith(sentence)


def test_hosted_tools_that_agents_add_by_themselves_are_offered_to_no_model(caplog: pytest.LogCaptureFixture):
    hosted = [
        {"type": "web_search", "external_web_access": True, "search_content_types": ["text", "image"]},
        {"type": "tool_search", "execution": "client", "description": "x", "parameters": {}},
        {"type": "local_shell"},
        {"type": "image_generation", "output_format": "png"},
    ]

    with caplog.at_level("INFO"):
        request = read(tools=[FUNCTION, *hosted])

    assert [tool.name for tool in request.ask.tools] == ["look"]
    assert "image_generation, local_shell, tool_search, web_search" in caplog.text


PATCH = '*** Begin Patch\n*** Add File: a\n+"one"\n*** End Patch'
CUSTOM = {"type": "custom", "name": "patch", "description": "Edit.", "format": {"type": "text"}}


def test_a_custom_tool_is_a_function_of_one_text_to_the_model():
    form = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}

    (tool,) = read(tools=[CUSTOM | {"format": form}]).ask.tools

    assert (tool.name, list(tool.parameters["properties"])) == ("patch", ["input"])
    assert tool.description.startswith("Edit.")
    assert "start: /x/" in tool.description


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input": PATCH}, PATCH),
        ({"patch": PATCH}, PATCH),
        ({"input": 1}, '{"input": 1}'),
        ({}, "{}"),
    ],
    ids=["named", "named otherwise", "no text", "nothing"],
)
def test_a_call_of_a_custom_tool_carries_its_text(arguments: dict[str, Any], text: str):
    response = builder(toolbox=read(tools=[CUSTOM]).toolbox)

    events = response.add(CallPiece(Call("c1", "patch", json.dumps(arguments))))

    assert [event["type"].removeprefix("response.") for event in events] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert [events[0]["item"]["input"], events[1]["delta"], events[2]["input"]] == ["", text, text]
    assert {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": text}.items() <= (
        response.output[0].items()
    )


def test_a_history_of_custom_calls_is_what_the_model_said():
    toolbox = read(tools=[{"type": "namespace", "name": "files", "tools": [CUSTOM]}]).toolbox
    response = builder(toolbox=toolbox)
    response.add(CallPiece(Call("c1", "files__patch", json.dumps({"input": PATCH}))))
    answered = {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done."}

    call, result = turns(response.output[0], answered)

    assert response.output[0]["namespace"] == "files"
    assert call.calls == (Call("c1", "files__patch", json.dumps({"input": PATCH})),)
    assert (result.role, result.text, result.call_id) == ("tool", "Done.", "c1")


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_custom_tool_can_be_asked_for(kind: str):
    choice = {"type": kind, "name": "patch"}

    named = read(tools=[CUSTOM, FUNCTION], tool_choice=choice).ask
    allowed = read(tools=[CUSTOM, FUNCTION], tool_choice={"type": "allowed_tools", "tools": [choice]}).ask

    assert named.tool_choice == ToolChoice("named", "patch")
    assert [tool.name for tool in allowed.tools] == ["patch"]


def test_tools_among_the_items_are_offered_too():
    items = [
        {"type": "additional_tools", "role": "developer", "tools": [CUSTOM]},
        {"role": "user", "content": "x"},
    ]

    request = read(input=items, tools=[FUNCTION])

    assert [tool.name for tool in request.ask.tools] == ["look", "patch"]
    assert request.ask.messages == (Message("user", "x"),)


def test_a_function_in_a_namespace_is_called_with_it():
    request = read(tools=[FUNCTION, {"type": "namespace", "name": "eyes", "tools": [FUNCTION]}])
    response = builder(toolbox=request.toolbox)
    response.add(CallPiece(Call("c1", "eyes__look", "{}")))

    assert [tool.name for tool in request.ask.tools] == ["look", "eyes__look"]
    assert {"name": "look", "namespace": "eyes"}.items() <= response.output[0].items()
    assert turns(response.output[0])[0].calls == (Call("c1", "eyes__look", "{}"),)


def test_allowed_tools_leave_the_others_out():
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]}

    request = read(tools=[FUNCTION, FUNCTION | {"name": "hear"}], tool_choice=allowed)

    assert [tool.name for tool in request.ask.tools] == ["look"]
    assert request.ask.tool_choice == ToolChoice("required")


def test_events_come_in_the_documented_order():
    response = builder()
    pieces: list[Piece] = [
        Begun(USAGE),
        ReasoningPiece("hm"),
        TextPiece("Let me"),
        TextPiece(" look."),
        CallPiece(Call("c1", "look", "{}")),
        Ended("tool_calls", USAGE),
    ]

    events = [*response.begin(), *(event for piece in pieces for event in response.add(piece))]

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [(e["type"].removeprefix("response."), e.get("output_index")) for e in events] == [
        ("created", None),
        ("in_progress", None),
        ("output_item.added", 0),
        ("content_part.added", 0),
        ("reasoning_text.delta", 0),
        ("reasoning_text.done", 0),
        ("content_part.done", 0),
        ("output_item.done", 0),
        ("output_item.added", 1),
        ("content_part.added", 1),
        ("output_text.delta", 1),
        ("output_text.delta", 1),
        ("output_text.done", 1),
        ("content_part.done", 1),
        ("output_item.done", 1),
        ("output_item.added", 2),
        ("function_call_arguments.delta", 2),
        ("function_call_arguments.done", 2),
        ("output_item.done", 2),
        ("completed", None),
    ]


def test_an_event_shows_its_item_as_it_was_then():
    events = builder().add(TextPiece("all at once"))

    assert [events[0]["item"]["content"], events[1]["part"]["text"], events[2]["delta"]] == [
        [],
        "",
        "all at once",
    ]


def test_a_cut_answer_is_incomplete_and_a_failed_one_says_why():
    cut, failed = builder(), builder()
    for piece in (Begun(USAGE), TextPiece("a"), Ended("length", USAGE)):
        last = cut.add(piece)[-1]
    failure = failed.fail(ApiError("it broke", why="of rust", fix="oil it", code="context_length_exceeded"))

    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["status"] == "incomplete"
    assert last["response"]["usage"]["input_tokens_details"]["cached_tokens"] == 4
    assert failure["response"]["status"] == "failed"
    assert failure["response"]["error"] == {
        "code": "context_length_exceeded",
        "message": "it broke: of rust. To fix it: oil it",
    }


def test_the_oldest_response_goes_first_when_there_are_too_many_or_they_are_too_large():
    by_number, by_bytes = ResponseStore(most=2), ResponseStore(most_bytes=300)

    for store in (by_number, by_bytes):
        for name in "abc":
            store.keep({"id": name, "output": [], "text": "x" * 90}, ())
        store.keep({"id": "huge", "output": [], "text": "x" * 300 if store is by_bytes else ""}, ())

    assert [name for name in ("a", "b", "c", "huge") if is_kept(by_number, name)] == ["c", "huge"]
    assert [name for name in ("a", "b", "c", "huge") if is_kept(by_bytes, name)] == ["b", "c"]


def is_kept(store: ResponseStore, name: str) -> bool:
    try:
        store.get(name)
    except ApiError as exc:
        assert (exc.status, exc.code) == (404, "response_not_found")
        return False
    return True


def test_a_deleted_response_is_gone_with_its_items():
    store = ResponseStore()
    store.keep({"id": "a", "output": [{"id": "out"}]}, ({"id": "in"},))
    assert store.find_item("in") and store.find_item("out")

    store.delete("a")

    assert store.find_item("in") is store.find_item("out") is None
    with pytest.raises(ApiError):
        store.delete("a")


@pytest.mark.parametrize("room", [1, 2, 3, 5])
def test_truncation_keeps_the_system_message_and_as_many_turns_as_fit(room: int):
    system = Message("system", "s")
    conversation = [
        message for n in range(5) for message in (Message("user", str(n)), Message("assistant", ""))
    ]
    ask = Ask(messages=(system, *conversation[:-1]))

    opened = coroutines.run(open_with_fewer_turns(ask, lambda tried: fits(tried, room)))

    assert opened.messages[0] == system  # type: ignore[attr-defined]
    assert [m.text for m in opened.messages if m.role == "user"] == [  # type: ignore[attr-defined]
        str(n) for n in range(5 - room, 5)
    ]


async def fits(ask: Ask, room: int) -> Any:
    if sum(message.role == "user" for message in ask.messages) > room:
        raise ApiError("too long", why="it is", fix="cut", code="context_length_exceeded")
    return ask


def test_truncation_that_cannot_help_says_what_is_too_long():
    ask = Ask(messages=(Message("user", "a"), Message("user", "b")))

    with pytest.raises(ApiError, match="too long"):
        coroutines.run(open_with_fewer_turns(ask, lambda tried: fits(tried, 0)))

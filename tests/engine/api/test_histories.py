"""A conversation goes on that once held what its model cannot read; all three dialects."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.api.test_api_tables import READERS

from local_ai.engine.api.responses.items import join_turns
from local_ai.engine.text.conversation import Message
from local_ai.engine.text.pictures import without_pictures
from local_ai.serving.errors import ApiError

CHAT, RESPONSES, ANTHROPIC = "POST /v1/chat/completions", "POST /v1/responses", "POST /anthropic/v1/messages"
FIELD = {CHAT: "messages", RESPONSES: "input", ANTHROPIC: "messages"}
URL, BYTES = "data:image/png;base64,aGk=", {"type": "base64", "media_type": "image/png", "data": "aGk="}
PDF = {"type": "document", "source": BYTES | {"media_type": "application/pdf"}}
PICTURES: dict[str, dict[str, Any]] = {
    CHAT: {"type": "image_url", "image_url": {"url": URL}},
    RESPONSES: {"type": "input_image", "image_url": URL, "detail": "auto"},
    ANTHROPIC: {"type": "image", "source": BYTES, "cache_control": {"type": "ephemeral"}},
}
FILES: dict[str, dict[str, Any]] = {
    CHAT: {"type": "file", "file": {"file_data": URL, "filename": "a.pdf"}},
    RESPONSES: {"type": "input_file", "file_data": URL, "filename": "a.pdf"},
    ANTHROPIC: PDF,
}
MEDIA = [pytest.param(heading, kind[heading]) for heading in FIELD for kind in (PICTURES, FILES)]


def messages(heading: str, *turns: dict[str, Any]) -> list[Message]:
    read, body = READERS[heading]
    found = read(body | {FIELD[heading]: list(turns)})
    ask = without_pictures(found.asks[0] if hasattr(found, "asks") else found.ask, "blind")
    return join_turns(ask.messages) if heading == RESPONSES else list(ask.messages)


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content) if isinstance(content[0], dict) else content[0]}


def text(heading: str, said: str) -> dict[str, Any]:
    return {"type": "input_text" if heading == RESPONSES else "text", "text": said}


def called(heading: str, *result: dict[str, Any]) -> list[dict[str, Any]]:
    """A call of a tool, and what it answered."""
    if heading == CHAT:
        call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        answer = {"role": "tool", "tool_call_id": "c1", "content": list(result)}
        return [{"role": "assistant", "tool_calls": [call]}, answer]
    if heading == RESPONSES:
        call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
        return [call, {"type": "function_call_output", "call_id": "c1", "output": list(result)}]
    use = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
    answer = {"type": "tool_result", "tool_use_id": "c1", "content": list(result)}
    return [{"role": "assistant", "content": [use]}, user(answer)]


def stands_for(part: dict[str, Any]) -> str:
    kind = "image" if part in PICTURES.values() else part["type"]
    return f"[{kind} left out: it cannot be read here]"


@pytest.mark.parametrize(("heading", "part"), MEDIA)
def test_what_an_older_turn_showed_becomes_a_short_text(heading: str, part: dict[str, Any]):
    older = user(text(heading, "What is this?"), part)
    answered = {"role": "assistant", "content": "A cat."}

    first, second, third = messages(heading, older, answered, user("And now?"))
    unanswered = messages(heading, older, user("Never mind."))

    assert first.text == f"What is this?\n{stands_for(part)}"
    assert (second.text, third.text) == ("A cat.", "And now?")
    assert unanswered[0].text == first.text


@pytest.mark.parametrize(("heading", "part"), MEDIA)
def test_what_a_tool_showed_becomes_a_short_text(heading: str, part: dict[str, Any]):
    result = messages(heading, user("Look."), *called(heading, text(heading, "Seen:"), part))[-1]

    assert (result.role, result.text) == ("tool", f"Seen:\n{stands_for(part)}")


@pytest.mark.parametrize(("heading", "part"), MEDIA)
def test_what_is_sent_as_the_users_right_after_a_result_is_the_tools(heading: str, part: dict[str, Any]):
    turns = called(heading, text(heading, "See below."))

    shown = messages(heading, user("Look."), *turns, user(text(heading, "The tool's picture:"), part))[-1]

    assert shown.text == f"The tool's picture:\n{stands_for(part)}"


def test_a_picture_beside_a_result_is_the_tools():
    use, result = called(ANTHROPIC, text(ANTHROPIC, "Seen."))

    turns = messages(
        ANTHROPIC,
        user("Look."),
        use,
        user(*result["content"], PICTURES[ANTHROPIC], text(ANTHROPIC, "Go on.")),
    )

    assert [turn.text for turn in turns[-2:]] == ["Seen.", f"{stands_for(PICTURES[ANTHROPIC])}\nGo on."]


@pytest.mark.parametrize(("heading", "part"), MEDIA)
@pytest.mark.parametrize("before", [False, True], ids=["first", "later"])
def test_the_users_own_newest_is_refused_by_name(heading: str, part: dict[str, Any], *, before: bool):
    older = [user("Hello"), {"role": "assistant", "content": "Hello."}] if before else []

    with pytest.raises(ApiError) as caught:
        messages(heading, *older, user(text(heading, "What is this?"), part))

    at = f"{FIELD[heading]}[{len(older)}].content[1]"
    assert caught.value.param in (at, f"{at}.source")
    assert "only" in caught.value.why or "does not see" in caught.value.why


@pytest.mark.parametrize("heading", FIELD)
def test_a_part_of_no_known_type_is_refused_wherever_it_is(heading: str):
    with pytest.raises(ApiError, match=r"\[0\]\.content\[0\] cannot be used"):
        messages(heading, user({"type": "smell"}), {"role": "assistant", "content": "x"}, user("And now?"))


def test_what_a_servers_tool_found_becomes_a_short_text():
    asked = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"url": "x"}]}
    said = {"role": "assistant", "content": [asked, found, text(ANTHROPIC, "Found it.")]}

    turns = messages(ANTHROPIC, user("Search."), said, user("Thanks."))

    assert turns[1].text == f"{stands_for(asked)}\n{stands_for(found)}\nFound it."


def test_what_a_hosted_tool_found_becomes_a_part_of_the_turn():
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    said = {"role": "assistant", "content": "Found it."}

    turns = messages(RESPONSES, user("Search."), search, search, said, user("Thanks."))

    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert turns[1].text == f"{stands_for(search)}\n{stands_for(search)}\nFound it."


HINT = {"cache_control": {"type": "ephemeral"}}


def test_hints_for_caching_have_no_effect_wherever_routers_leave_them():
    read, body = READERS[CHAT]
    part = text(CHAT, "x") | HINT
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}} | HINT
    turns = [
        {"role": "system", "content": [part]} | HINT,
        {"role": "user", "content": [part]} | HINT,
        {"role": "assistant", "content": "x", "tool_calls": [call]} | HINT,
        {"role": "tool", "tool_call_id": "c1", "content": "x"} | HINT,
    ]
    function = {"name": "f", "parameters": {"type": "object"}} | HINT

    ask = read(body | {"messages": turns, "tools": [{"type": "function", "function": function} | HINT]}).asks[
        0
    ]

    assert [message.text for message in ask.messages] == ["x"] * 4
    assert [tool.parameters for tool in ask.tools] == [{"type": "object"}]

"""Answers that must be a call or keep to a schema, though their model would say something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.running import RunningEngine, running_engine
from tests.scripted_model import make_saying_model

HTML = "<html><body><p>Paris</p></body></html>"
MODE: dict[str, Any] = {"enum": ["fast", "slow"]}
ON: dict[str, Any] = {"enum": [True, False]}
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
ANSWERS = ({"ok": True}, {"ok": False})


def _closed(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Write the schema of an object that has exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    } | more


# name: arguments' schema, and all arguments that keep to it.
TOOLS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "set-mode": (_closed({"mode": MODE}), [{"mode": "fast"}, {"mode": "slow"}]),
    "defs.mode": (
        _closed({"mode": {"$ref": "#/$defs/Value"}}, **{"$defs": {"Value": MODE}}),
        [{"mode": "fast"}, {"mode": "slow"}],
    ),
    "defs.on": (
        _closed({"on": {"$ref": "#/$defs/Value"}}, **{"$defs": {"Value": ON}}),
        [{"on": True}, {"on": False}],
    ),
    "older-definitions": (
        _closed({"on": {"$ref": "#/definitions/Value"}}, definitions={"Value": ON}),
        [{"on": True}, {"on": False}],
    ),
    "root-reference": (
        {"$ref": "#/$defs/Root", "$defs": {"Root": _closed({"mode": MODE})}},
        [{"mode": "fast"}, {"mode": "slow"}],
    ),
    "pointer-to-property": (
        _closed({"on": ON, "off": {"$ref": "#/properties/on"}}),
        [{"on": on, "off": off} for on in (True, False) for off in (True, False)],
    ),
    "pointer-to-item": (
        _closed(
            {
                "modes": {"type": "array", "items": MODE, "minItems": 1, "maxItems": 1},
                "mode": {"$ref": "#/properties/modes/items"},
            }
        ),
        [{"modes": [one], "mode": other} for one in ("fast", "slow") for other in ("fast", "slow")],
    ),
    "defs-in-defs": (
        _closed(
            {"mode": {"$ref": "#/$defs/Outer/$defs/Value"}},
            **{"$defs": {"Outer": {"$defs": {"Value": MODE}}}},
        ),
        [{"mode": "fast"}, {"mode": "slow"}],
    ),
    "odd-names": (
        _closed(
            {
                "one": {"$ref": "#/$defs/a~1b"},
                "two": {"$ref": "#/$defs/Größe[int]"},
                "three": {"$ref": "#/$defs/a%20b"},
            },
            **{"$defs": {"a/b": ON, "Größe[int]": ON, "a b": ON}},
        ),
        [
            {"one": a, "two": b, "three": c}
            for a in (True, False)
            for b in (True, False)
            for c in (True, False)
        ],
    ),
    "anchor": (
        _closed({"mode": {"$ref": "#mode"}}, **{"$defs": {"Value": MODE | {"$anchor": "mode"}}}),
        [{"mode": "fast"}, {"mode": "slow"}],
    ),
    "own-id": (
        _closed(
            {"mode": {"$ref": "https://example.com/tool.json#/$defs/Value"}, "on": {"$ref": "on.json"}},
            **{
                "$schema": "https://example.com/unknown",
                "$id": "https://example.com/tool.json",
                "$defs": {"Value": MODE, "On": ON | {"$id": "on.json"}},
            },
        ),
        [{"mode": mode, "on": on} for mode in ("fast", "slow") for on in (True, False)],
    ),
    "property-of-that-name": (
        _closed({"$ref": ON, "$schema": ON, "enum": {"$ref": "#/properties/$ref"}}),
        [
            {"$ref": a, "$schema": b, "enum": c}
            for a in (True, False)
            for b in (True, False)
            for c in (True, False)
        ],
    ),
    "recursive": (
        _closed({"on": ON, "child": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}),
        [{"on": True, "child": None}, {"on": False, "child": None}],
    ),
}
# Families whose calls are JSON, of a name and of arguments: the template that tells them, and special tokens.
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "hermes": ("<tool_call>", ()),
    "coder": ("<tool_call>\n<function=", ()),
    "mistral": ("[TOOL_CALLS] [ARGS]", ()),
    "mistral-list": ("[TOOL_CALLS]", ()),
    "llama": ("<|python_tag|>", ()),
    "lfm2": ("<|tool_call_start|>", ()),
    "deepseek": ("<｜tool▁calls▁begin｜>", ()),
    "gpt-oss": ("<|channel|> <|message|>", ("<|channel|>", "<|message|>", "<|start|>", "<|end|>")),
}
SAYS = {"html": HTML, "mark": "<tool_call>" + HTML}
DIALECTS = ("chat", "messages", "responses")
THOUGHT = "<|channel|>analysis<|message|>The page is to be short, so a word will do."
ASKED = "Answer only in HTML."


def _fill(folder: Path) -> None:
    for family, (template, special) in FAMILIES.items():
        # A thought is free, so the model in whose channels it may think goes on to its answer at once.
        begins = "<|channel|>final<|message|>" if family == "gpt-oss" else ""
        for kind, says in SAYS.items():
            make_saying_model(folder / f"{family}-{kind}", begins + says, template=template, special=special)
    template, special = FAMILIES["gpt-oss"]
    make_saying_model(folder / "thinks", THOUGHT + "<|end|>", template=template, special=special)
    make_saying_model(folder / "thinks-on", THOUGHT, template=template, special=special)


@pytest.fixture(scope="module")
def engine() -> Iterator[RunningEngine]:
    with running_engine(_fill, {"model": {"path": "hermes-html"}}) as engine:
        yield engine


def _tool(name: str, dialect: str) -> dict[str, Any]:
    schema = TOOLS[name][0]
    if dialect == "messages":
        return {"name": name, "input_schema": schema}
    function = {"name": name, "parameters": schema}
    return {"type": "function"} | ({"function": function} if dialect == "chat" else function)


def _ask(
    engine: RunningEngine,
    dialect: str,
    model: str,
    tools: list[str],
    *,
    schema: dict[str, Any] | None = None,
    choice: str = "auto",
) -> tuple[list[tuple[str, Any]], str]:
    """Ask at temperature 0; return the answer's calls and its text.

    Args:
        schema: An answer in text must keep to it.
        choice: "auto", "any", or the name of the tool to call.
    """
    body: dict[str, Any] = {"model": model, "temperature": 0}
    messages = [{"role": "user", "content": ASKED}]
    offered = [_tool(one, dialect) for one in tools]
    named = choice not in ("auto", "any")
    if dialect == "messages":
        body |= {"messages": messages, "max_tokens": 300}
        choice_ = {"type": "tool", "name": choice} if named else {"type": choice}
        body |= {"tools": offered, "tool_choice": choice_} if tools else {}
        if schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        content = _posted(engine, "/anthropic/v1/messages", body)["content"]
        calls = [(block["name"], block["input"]) for block in content if block["type"] == "tool_use"]
        return calls, "".join(block.get("text", "") for block in content)
    kind = {"auto": "auto", "any": "required"}.get(choice)
    format_ = {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}
    if dialect == "responses":
        body |= {"input": ASKED, "max_output_tokens": 300}
        choice_ = kind or {"type": "function", "name": choice}
        body |= {"tools": offered, "tool_choice": choice_} if tools else {}
        if schema:
            body["text"] = {"format": format_}
        output = _posted(engine, "/v1/responses", body)["output"]
        calls = [
            (item["name"], json.loads(item["arguments"]))
            for item in output
            if item["type"] == "function_call"
        ]
        parts = [part for item in output if item["type"] == "message" for part in item["content"]]
        return calls, "".join(part["text"] for part in parts)
    body |= {"messages": messages, "max_tokens": 300}
    choice_ = kind or {"type": "function", "function": {"name": choice}}
    body |= {"tools": offered, "tool_choice": choice_} if tools else {}
    if schema:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        }
    message = _posted(engine, "/v1/chat/completions", body)["choices"][0]["message"]
    made = [one["function"] for one in message.get("tool_calls") or []]
    return [(one["name"], json.loads(one["arguments"])) for one in made], message["content"] or ""


def _posted(engine: RunningEngine, path: str, body: dict[str, Any]) -> Any:
    answer = engine.post(path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("kind", SAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_is_whole_calls_or_keeps_to_its_schema(engine: RunningEngine, family: str, kind: str):
    for dialect in DIALECTS:
        calls, text = _ask(engine, dialect, f"{family}-{kind}", ["set-mode", "defs.on"], schema=ANSWER)

        assert all(arguments in TOOLS[name][1] for name, arguments in calls)
        assert text == "" if calls else json.loads(text) in ANSWERS


@pytest.mark.parametrize("choice", ["any", "set-mode"])
@pytest.mark.parametrize("family", ["hermes", "deepseek", "gpt-oss"])
def test_a_forced_call_is_made_though_there_is_a_schema(engine: RunningEngine, family: str, choice: str):
    for dialect in DIALECTS:
        ((name, arguments),), text = _ask(
            engine, dialect, f"{family}-html", ["defs.on", "set-mode"], schema=ANSWER, choice=choice
        )

        assert (text, arguments in TOOLS[name][1], choice in ("any", name)) == ("", True, True)


@pytest.mark.parametrize("name", TOOLS)
def test_references_lead_where_they_led(engine: RunningEngine, name: str):
    """All tools are offered, so that definitions of one name stand beside each other."""
    ((called, arguments),), text = _ask(engine, "chat", "hermes-html", list(TOOLS), choice=name)
    _, answered = _ask(engine, "chat", "hermes-html", [], schema=TOOLS[name][0])

    assert (called, text) == (name, "")
    assert arguments in TOOLS[name][1]
    assert json.loads(answered) in TOOLS[name][1]


@pytest.mark.parametrize("dialect", ["messages", "responses"])
def test_references_lead_where_they_led_in_every_api(engine: RunningEngine, dialect: str):
    for name in ("defs.on", "recursive"):
        ((called, arguments),), _ = _ask(engine, dialect, "hermes-html", list(TOOLS), choice=name)
        _, answered = _ask(engine, dialect, "hermes-html", [], schema=TOOLS[name][0])

        assert called == name
        assert arguments in TOOLS[name][1]
        assert json.loads(answered) in TOOLS[name][1]


@pytest.mark.parametrize("tools", [[], ["set-mode"]], ids=["no tools", "tools"])
def test_a_thought_before_a_schema_is_free_and_ends_in_an_answer_that_keeps_to_it(
    engine: RunningEngine, tools: list[str]
):
    for dialect in DIALECTS:
        calls, text = _ask(engine, dialect, "thinks", tools, schema=ANSWER)

        assert all(arguments in TOOLS[name][1] for name, arguments in calls)
        assert text == "" if calls else json.loads(text) in ANSWERS


def test_a_thought_that_does_not_end_takes_the_answers_tokens_and_leaves_no_text(engine: RunningEngine):
    body = {"model": "thinks-on", "messages": [{"role": "user", "content": ASKED}], "max_tokens": 40}
    body |= {"temperature": 0, "response_format": {"type": "json_schema", "json_schema": {"schema": ANSWER}}}

    (choice,) = _posted(engine, "/v1/chat/completions", body)["choices"]
    events = [event["choices"][0] for event in engine.events("/v1/chat/completions", body)]

    assert (choice["message"]["content"] or "", choice["finish_reason"]) == ("", "length")
    assert choice["message"]["reasoning_content"].startswith("The page is to be short, so a word will do.")
    assert "".join(event["delta"].get("content") or "" for event in events) == ""
    assert events[-1]["finish_reason"] == "length"

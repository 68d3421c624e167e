"""Reading a generation's events as pieces, for what no small model says by itself."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_ai.engine.core.terms import Finished, Job, ModelKey, Started, Token
from local_ai.engine.core.tokenizer import Marks, ModelWords
from local_ai.engine.text.conversation import (
    Ask,
    CallPiece,
    Ended,
    Limits,
    Message,
    TextPiece,
    ThoughtPiece,
    Tool,
    ToolChoice,
)
from local_ai.engine.text.generation import _Reader
from local_ai.engine.text.prompts import Prepared

KEY = ModelKey("m", Path("/m"))
WEATHER = Tool("get_weather", "", {"type": "object"})
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def words(**options: Any) -> ModelWords:
    tokenizer = SimpleNamespace(tool_parser=lambda text, tools: json.loads(text))
    defaults = {
        "thought": None,
        "calls": None,
        "context_tokens": None,
        "vocabulary_size": 9,
        "eos": frozenset(),
    }
    return ModelWords(key=KEY, tokenizer=tokenizer, has_template=True, **(defaults | options))


def read(
    text: str, *, reason: str = "stop", ask: Ask | None = None, in_thought: bool = False, **has: Any
) -> list[Any]:
    """Pieces of an answer that comes a few characters at a time."""
    ask = ask or Ask(messages=(Message("user", "x"),), tools=(WEATHER,))
    prepared = Prepared(Job(KEY, (1, 2), 9, in_thought=in_thought), forced_call=False)
    reader = _Reader(prepared, ask, words(**has))
    events = [Started(1), *(Token(text[at : at + 3]) for at in range(0, len(text), 3)), Finished(reason, "")]
    pieces = []
    for event in events:
        for piece in reader.read(event):
            pieces.append(piece)
            if isinstance(piece, Ended):
                return pieces
    return pieces


def joined(pieces: list[Any], kind: type[Any]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, kind))


def test_a_call_between_marks_is_a_call():
    pieces = read(f"I look. {CALL}")

    (call,) = [piece.call for piece in pieces if isinstance(piece, CallPiece)]
    assert (call.name, call.arguments) == ("get_weather", '{"city": "Rome"}')
    assert joined(pieces, TextPiece) == "I look. "
    assert pieces[-1].reason == "tool_calls"


def test_a_models_own_parser_reads_its_calls():
    pieces = read(f"[C]{CALL[11:-12]}[/C]", calls=Marks("[C]", "[/C]"))

    assert [piece.call.name for piece in pieces if isinstance(piece, CallPiece)] == ["get_weather"]


def test_several_calls_are_several_unless_one_at_a_time_is_asked_for():
    ask = Ask(tools=(WEATHER,), tool_choice=ToolChoice(parallel=False))

    assert sum(isinstance(piece, CallPiece) for piece in read(CALL + "\n" + CALL)) == 2
    assert sum(isinstance(piece, CallPiece) for piece in read(CALL + "\n" + CALL, ask=ask)) == 1


def test_what_only_looks_like_a_call_is_shown():
    pieces = read("<tool_call>not json</tool_call>")

    assert joined(pieces, TextPiece) == "<tool_call>not json</tool_call>"
    assert pieces[-1].reason == "stop"


@pytest.mark.parametrize("arguments", ['"Rome"', '["Rome"]', '"{"'])
def test_a_call_whose_arguments_are_no_object_is_shown(arguments: str):
    """Neither client nor template could use it."""
    text = f'<tool_call>{{"name": "get_weather", "arguments": {arguments}}}</tool_call>'

    assert joined(read(text), TextPiece) == text


def test_a_call_cut_off_by_the_length_is_shown_as_far_as_it_came():
    pieces = read('<tool_call>{"name": "get_w', reason="length")

    assert joined(pieces, TextPiece).startswith('<tool_call>{"name": "get_w')
    assert pieces[-1].reason == "length"


def test_marks_mean_nothing_without_tools():
    assert joined(read(CALL, ask=Ask(messages=(Message("user", "x"),))), TextPiece) == CALL


def test_thoughts_are_told_apart_and_counted():
    pieces = read("hm, why\n</think>\n\nParis", in_thought=True, thought=Marks("<think>", "</think>"))

    assert joined(pieces, ThoughtPiece) == "hm, why\n"
    assert joined(pieces, TextPiece) == "Paris"
    assert pieces[-1].usage.thought > 0


def test_a_stop_string_ends_the_answer_where_it_begins():
    pieces = read("one two three", ask=Ask(prompt="x", limits=Limits(stops=("two",))))

    assert joined(pieces, TextPiece) == "one "
    assert (pieces[-1].reason, pieces[-1].stop) == ("stop_string", "two")
    assert pieces[-1].usage.answer < 5

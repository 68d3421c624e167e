"""Reading a generation's events as pieces, for what no small model says by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_ai.engine.core.job import Failed, Finished, Job, ModelKey, Started, Token, TokenLogprob
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.formats.families import choose_format
from local_ai.engine.formats.format import Format
from local_ai.engine.text.conversation import (
    Ask,
    Begun,
    CallPiece,
    Ended,
    Limits,
    Message,
    ReasoningPiece,
    TextPiece,
    Tool,
    ToolChoice,
)
from local_ai.engine.text.generation import _Reader
from local_ai.engine.text.prompts import Prepared
from local_ai.serving.errors import ApiError

KEY = ModelKey("m", Path("/m"))
WEATHER = Tool("get_weather", "", {"type": "object"})
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'


HERMES, THINKER = choose_format("", ()), choose_format("<think> </think>", ())


def words(form: Format = HERMES) -> ModelWords:
    return ModelWords(
        key=KEY,
        tokenizer=None,
        context_tokens=None,
        vocabulary_size=9,
        eos=frozenset(),
        format=form,
        has_template=True,
    )


def read(
    text: str,
    *,
    reason: str = "stop",
    ask: Ask | None = None,
    in_thought: bool = False,
    form: Format = HERMES,
    forced: bool = False,
) -> list[Any]:
    """Pieces of an answer that comes a few characters at a time."""
    ask = ask or Ask(messages=(Message("user", "x"),), tools=(WEATHER,))
    prepared = Prepared(Job(KEY, (1, 2), 9, in_thought=in_thought), forced_call=forced)
    reader = _Reader(prepared, ask, words(form))
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


def test_a_models_own_format_reads_its_calls():
    pieces = read(
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Rome"}', form=choose_format("[TOOL_CALLS] [ARGS]", ())
    )

    (call,) = [piece.call for piece in pieces if isinstance(piece, CallPiece)]
    assert (call.name, len(call.id)) == ("get_weather", 9)  # Mistral's template takes no other length


def test_calls_of_one_answer_have_ids_of_their_own():
    one = '{"name": "get_weather", "arguments": {}, "id": "call_1"}'
    pieces = read(f"<tool_call>{one}</tool_call><tool_call>{one}</tool_call>")

    ids = [piece.call.id for piece in pieces if isinstance(piece, CallPiece)]
    assert ids[0] == "call_1"
    assert len(set(ids)) == 2


def test_a_forced_call_is_the_call():
    pieces = read('{"name": "get_weather", "arguments": {"city": "Rome"}}', forced=True)

    assert [piece.call.name for piece in pieces if isinstance(piece, CallPiece)] == ["get_weather"]
    assert pieces[-1].reason == "tool_calls"


def test_a_forced_call_that_is_cut_shows_nothing_of_how_it_is_written_inside():
    pieces = read('{"name": "get_weather", "arguments": {"ci', reason="length", forced=True)

    assert [type(piece) for piece in pieces] == [Begun, Ended]
    assert pieces[-1].reason == "length"


def test_control_tokens_are_no_text_of_a_plain_completion_either():
    pieces = read("a[TOOL_CALLS]b", ask=Ask(prompt="x"), form=choose_format("[TOOL_CALLS]", ()))

    assert joined(pieces, TextPiece) == "ab"


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

    assert joined(pieces, TextPiece) == '<tool_call>{"name": "get_w'
    assert pieces[-1].reason == "length"


def test_marks_mean_nothing_without_tools():
    assert joined(read(CALL, ask=Ask(messages=(Message("user", "x"),))), TextPiece) == CALL


def test_thoughts_are_told_apart_and_counted():
    pieces = read("hm, why\n</think>\n\nParis", in_thought=True, form=THINKER)

    assert joined(pieces, ReasoningPiece) == "hm, why\n"
    assert joined(pieces, TextPiece) == "Paris"
    assert pieces[-1].usage.thought > 0


def test_a_stop_string_ends_the_answer_where_it_begins():
    pieces = read("one two three", ask=Ask(prompt="x", limits=Limits(stops=("two",))))

    assert joined(pieces, TextPiece) == "one "
    assert (pieces[-1].reason, pieces[-1].stop) == ("stop_string", "two")
    assert pieces[-1].usage.answer < 5


def reader(form: Format = HERMES) -> _Reader:
    return _Reader(Prepared(Job(KEY, (1, 2), 9), forced_call=False), Ask(prompt="x"), words(form))


def test_text_that_came_together_is_one_piece_with_the_chances_of_all_its_tokens():
    one, other = TokenLogprob(1, "a", -1.0), TokenLogprob(2, "b", -2.0)

    begun, text, ended = reader().read_all(
        [Started(0), Token("a", one), Token("b", other, (one,)), Finished("stop", "")]
    )

    assert isinstance(begun, Begun)
    assert text == TextPiece("ab", ((one, ()), (other, (one,))), (0, 1))
    assert (ended.reason, ended.usage.answer) == ("stop", 2)


def test_text_that_came_before_a_failure_is_given_out_before_it():
    pieces = reader().read_all([Token("a"), Token("b"), Failed(ApiError("it was cut off", why="x", fix="y"))])

    assert next(pieces) == TextPiece("ab")
    with pytest.raises(ApiError, match="cut off"):
        next(pieces)

"""Thoughts, calls and stop strings in a text, wherever it is cut into tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_ai.engine.formats.families import choose_format
from local_ai.engine.text.output_parser import OutputParser

THOUGHT = choose_format("<think> </think> <tool_call>", ())
MISTRAL = choose_format("[TOOL_CALLS] [ARGS]", ())
TOOLS = {"f": {"type": "object"}}


def split(pieces: list[str], **options: object) -> tuple[dict[str, str], str | None]:
    """Feed pieces; return the text of each kind, joined, and the stop string met."""
    splitter = OutputParser(**options)  # type: ignore[arg-type]
    segments = [segment for piece in pieces for segment in splitter.feed(piece)] + splitter.finish()
    joined: dict[str, str] = {}
    for segment in segments:
        joined[segment.kind] = joined.get(segment.kind, "") + segment.text
    return joined, splitter.stop


CASES = [
    ("plain text", {}, {"text": "plain text"}, None),
    ("a<think>b</think>c", {"form": THOUGHT}, {"text": "ac", "thought": "b"}, None),
    ("b</think>\n\nc", {"form": THOUGHT, "in_thought": True}, {"thought": "b", "text": "c"}, None),
    ("a<think>b", {"form": THOUGHT}, {"text": "a", "thought": "b"}, None),
    ("<tool_call>{}</tool_call>", {"form": THOUGHT, "tools": TOOLS}, {"call": "{}"}, None),
    ("a<tool_call>{", {"form": THOUGHT, "tools": TOOLS}, {"text": "a", "call": "{"}, None),
    ("one STOP two", {"stops": ["STOP"]}, {"text": "one "}, "STOP"),
    ("abcabd", {"stops": ["abd"]}, {"text": "abc"}, "abd"),
    ("x ST", {"stops": ["STOP"]}, {"text": "x ST"}, None),
    ("<think>STOP</think>a", {"form": THOUGHT, "stops": ["STOP"]}, {"thought": "STOP", "text": "a"}, None),
    ("a < b <think", {"form": THOUGHT}, {"text": "a < b <think"}, None),
    ("ab", {"stops": ["b", "ab"]}, {}, "ab"),
    ("abc", {"stops": ["a", "abc"]}, {}, "abc"),
    ("abd", {"stops": ["a", "abc"]}, {}, "a"),
    ("[TOOL_CALLS]f{}", {"form": MISTRAL, "tools": TOOLS}, {"call": "f{}"}, None),
]


@pytest.mark.parametrize(("text", "options", "expected", "stop"), CASES, ids=[case[0] for case in CASES])
@given(data=st.data())
def test_splitter_does_not_depend_on_where_tokens_end(data, text, options, expected, stop):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert split(pieces, **options) == (expected, stop)


@given(st.lists(st.text(alphabet="<think>/ ab", max_size=6)))
def test_splitter_without_marks_gives_out_everything_at_once(pieces):
    splitter = OutputParser()

    assert ["".join(s.text for s in splitter.feed(piece)) for piece in pieces] == pieces

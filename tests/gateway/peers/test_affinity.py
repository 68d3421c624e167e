"""Which machine a conversation goes to."""

from __future__ import annotations

from typing import Any

import pytest

from local_ai.gateway.peers.affinity import Affinity, Place, beginnings_of

IDLE = [Place("a", 0), Place("b", 0), Place("c", 0)]


def turn(role: str, text: Any) -> dict[str, Any]:
    return {"role": role, "content": text}


def chat(*texts: str, system: str = "Be brief.") -> dict[str, Any]:
    roles = ("user", "assistant") * len(texts)
    return {"messages": [turn("system", system), *map(turn, roles, texts)]}


def goes_to(affinity: Affinity, body: dict[str, Any], places: list[Place]) -> str:
    beginnings = beginnings_of("m", body)
    place = affinity.choose(beginnings, places)
    affinity.note(beginnings, place.name)
    return place.name


def test_a_conversation_returns_to_where_it_began():
    affinity = Affinity()

    first = [goes_to(affinity, chat(f"Question {n}"), IDLE) for n in range(6)]
    second = [goes_to(affinity, chat(f"Question {n}", "Answer", "More"), IDLE) for n in range(6)]

    assert second == first
    assert sorted(first) == ["a", "a", "b", "b", "c", "c"]


def test_what_none_has_read_goes_to_the_least_busy():
    assert goes_to(Affinity(), chat("Hi"), [Place("a", 3), Place("b", 1), Place("c", 2)]) == "b"


def test_a_conversation_leaves_a_machine_that_is_full_while_another_is_not():
    affinity = Affinity()
    affinity.note(beginnings_of("m", chat("Hi")), "a")

    assert goes_to(affinity, chat("Hi", "Yes?", "1"), [Place("a", 9, is_full=True), Place("b", 1)]) == "b"
    assert goes_to(affinity, chat("Hi", "Yes?", "1", "2", "3"), IDLE) == "b"
    both = [Place("a", 9, is_full=True), Place("b", 9, is_full=True)]
    assert goes_to(affinity, chat("Hi", "Yes?", "1", "2", "4"), both) == "b"


def test_a_machine_that_is_away_is_not_waited_for():
    affinity = Affinity()
    affinity.note(beginnings_of("m", chat("Hi")), "a")

    assert goes_to(affinity, chat("Hi", "Yes?", "1"), [Place("b", 0)]) == "b"


def test_the_longest_beginning_decides():
    affinity = Affinity()
    affinity.note(beginnings_of("m", chat("Same", "one", "x")), "a")
    affinity.note(beginnings_of("m", chat("Same", "two", "x")), "b")

    assert goes_to(affinity, chat("Same", "one", "x", "y", "z"), IDLE) == "a"
    assert goes_to(affinity, chat("Same", "two", "x", "y", "z"), IDLE) == "b"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (chat("Hi"), chat("Hi", system="Be long.")),
        (chat("Hi"), chat("Ho")),
        ({"system": "a", "messages": [turn("user", "b")]}, {"system": "ab", "messages": [turn("user", "")]}),
        ({"prompt": "a"}, {"prompt": "b"}),
        ({"input": "a"}, {"input": "b"}),
        ({"tools": [1], "input": "a"}, {"tools": [2], "input": "a"}),
    ],
)
def test_other_beginnings_are_others(one: dict[str, Any], other: dict[str, Any]):
    assert beginnings_of("m", one)[0] != beginnings_of("m", other)[0]
    assert beginnings_of("m", one)[0] != beginnings_of("n", one)[0]


def test_a_marker_that_moves_with_each_turn_changes_nothing():
    marked = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]
    plain = {"system": "s", "messages": [turn("user", "Hi"), turn("assistant", "Yes?"), turn("user", "1")]}

    (beginning,) = beginnings_of("m", {"system": "s", "messages": [turn("user", marked)]})

    assert beginnings_of("m", plain)[0] == beginning


def test_no_more_is_remembered_than_is_bounded():
    affinity = Affinity(most=10)

    for number in range(100):
        goes_to(affinity, chat(str(number)), IDLE)

    assert len(affinity._read_at) == 10


@pytest.mark.parametrize(
    "body", [{}, {"messages": []}, {"messages": "x"}, {"messages": [1, None, "a"]}, {"prompt": [1, 2]}]
)
def test_any_body_has_a_beginning(body: dict[str, Any]):
    assert beginnings_of("m", body)

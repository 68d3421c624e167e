"""Prompts are read once through the real path, with tools and thoughts too, for each class of cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.running import RunningEngine, running_engine
from tests.tiny_families import make_tiny_family

FAMILIES = ("llama", "gemma3_text", "qwen3_next", "qwen3_5")
RULES = "".join(f"Rule {n}: the red fox jumps over the lazy dog. " for n in range(20))
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
]
THINKS = {"chat_template_kwargs": {"enable_thinking": True}}


@pytest.fixture(scope="module")
def engine() -> Iterator[RunningEngine]:
    def make(folder: Path) -> None:
        for family in FAMILIES:
            make_tiny_family(folder / family, family, tools=True, thinking=True, endless=True)

    with running_engine(make) as engine:
        yield engine


def told(engine: RunningEngine, family: str, messages: list[dict[str, str]], more: Any) -> tuple[int, int]:
    answer = engine.chat(model=family, messages=messages, temperature=0, **more)
    usage = answer["usage"]
    return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("more", [{}, {"tools": TOOLS}, THINKS, {"tools": TOOLS} | THINKS], ids=range(4))
def test_a_new_conversation_and_a_next_turn_read_only_what_is_new(
    engine: RunningEngine, family: str, more: dict[str, Any]
) -> None:
    """A new conversation finds the system text and the tools; a next turn the whole prompt before it."""
    system = {"role": "system", "content": f"{sorted(more)} {RULES}"}
    first = [system, {"role": "user", "content": "What is red?"}]
    other = [system, {"role": "user", "content": "one two three?"}]
    later = [*other, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "And the dog?"}]

    whole, _ = told(engine, family, first, more)
    prompt, new = told(engine, family, other, more)
    _, next_turn = told(engine, family, later, more)

    assert whole - 40 < new < prompt
    assert prompt - 8 <= next_turn

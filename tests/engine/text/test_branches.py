"""Where prompts branch off, by the templates that models have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_model import make_tiny_model

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.formats.families import choose_format
from local_ai.engine.text.branches import branch_places, token_places
from local_ai.engine.text.conversation import Message

SYSTEM = Message("system", "You help.")
TURN = (Message("user", "hello"), Message("assistant", "yes", thought="hm"))
ASKED = Message("user", "more")
LOOP = (ASKED, Message("assistant", "call", thought="look"), Message("tool", "found"))


def plain(messages: Sequence[Message], *, begins: str = "") -> str:
    """Write as ChatML does."""
    return "".join(f"<{m.role}>\n{m.text}\n" for m in messages) + begins


def thinking(messages: Sequence[Message], *, begins: str = "") -> str:
    """Write as Qwen's template does: thoughts stay after the last words of the user alone."""
    last = max((at for at, m in enumerate(messages) if m.role == "user"), default=-1)
    parts = []
    for at, message in enumerate(messages):
        thought = f"<think>{message.thought}</think>" if message.role == "assistant" and at > last else ""
        parts.append(f"<{message.role}>\n{thought}{message.text}\n")
    return "".join(parts) + begins


def strict(messages: Sequence[Message], *, begins: str = "") -> str:
    """Refuse what does not alternate, and what has no answer to begin."""
    roles = [m.role for m in messages if m.role != "system"]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise ValueError("roles must alternate")
    return plain(messages, begins=begins)


def broken(messages: Sequence[Message], *, begins: str = "") -> str:
    raise ValueError


@pytest.mark.parametrize(
    ("write", "messages", "begins", "pieces"),
    [
        (plain, [SYSTEM, ASKED], "<assistant>\n", ["<system>\nYou help.\n<user>\n"]),
        (
            plain,
            [SYSTEM, *TURN, ASKED],
            "<assistant>\n",
            ["<system>\nYou help.\n<user>\n", "hello\n<assistant>\nyes\n<user>\n"],
        ),
        (
            plain,
            [SYSTEM, ASKED],
            "<assistant>\n<think>\n",
            ["<system>\nYou help.\n<user>\n", "more\n<assistant>\n"],
        ),
        (
            thinking,
            [SYSTEM, *TURN, *LOOP],
            "<assistant>\n<think>\n",
            [
                "<system>\nYou help.\n<user>\n",
                "hello\n<assistant>\nyes\n<user>\n",
                "more\n<assistant>\n",
                "<think>look</think>call\n<tool>\nfound\n",
            ],
        ),
        (
            strict,
            [SYSTEM, *TURN, ASKED],
            "",
            ["<system>\nYou help.\n<user>\n", "hello\n<assistant>\nyes\n<user>\n"],
        ),
        (broken, [SYSTEM, ASKED], "", []),
    ],
    ids=["first turn", "later turn", "opens a thought", "tools and thoughts", "refuses", "refuses all"],
)
def test_places_are_where_other_conversations_go_on_differently(
    write: Any, messages: list[Message], begins: str, pieces: list[str]
):
    text = plain(messages, begins=begins) if write is broken else write(messages, begins=begins)

    places = branch_places(write, messages, text)

    assert [text[a:b] for a, b in zip([0, *places], places, strict=False)] == pieces


@pytest.mark.integration
@pytest.mark.parametrize("native", [True, False], ids=["native", "in Python"])
def test_places_in_tokens_never_come_after_those_in_characters(tmp_path: Path, native: bool):
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(make_tiny_model(tmp_path)))
    words = ModelWords(
        key=ModelKey("m", tmp_path),
        tokenizer=tokenizer if native else _InPython(tokenizer),
        context_tokens=None,
        vocabulary_size=len(tokenizer),
        eos=frozenset(),
        format=choose_format("", ()),
        has_template=True,
    )
    text = "<|im_start|>system\nthe  quick caf\u00e9 \U0001f600 fox<|im_end|>\n<|im_start|>user\n  hello"
    tokens = words.encode(text)

    places = token_places(words, text, tokens, list(range(1, len(text))))

    for place, count in enumerate(places, start=1):
        before = tokenizer.decode(tokens[:count])
        assert text.startswith(before.rstrip("\ufffd"))
        assert len(before) <= place
    assert places[text.index("system") - 1] == 1
    assert places[-1] >= len(tokens) - 3


class _InPython:
    """A tokenizer that brings no native one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def encode(self, text: str, **options: Any) -> Any:
        return self._inner.encode(text, **options)

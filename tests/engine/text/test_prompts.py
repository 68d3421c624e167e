"""How a conversation is written for templates that take less than clients send."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.formats.families import choose_format
from local_ai.engine.templating.environment import compile_template
from local_ai.engine.text import prompts
from local_ai.engine.text.conversation import Ask, Call, Message
from local_ai.engine.text.prompts import FieldNames, prepare
from local_ai.serving.errors import ApiError

SYSTEM, ASKED, ANSWERED = Message("system", "s"), Message("user", "a"), Message("assistant", "b")
REMINDED, ASKED_AGAIN = Message("system", "r"), Message("user", "c")


class Tokenizer:
    """One token a character; its template refuses a system message that is not the first."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict

    def apply_chat_template(self, messages: list[dict[str, Any]], **_options: Any) -> str:
        """Write each role's letter and text."""
        roles = [message["role"] for message in messages]
        if self.strict and ("system" in roles[1:] or ("user", "user") in pairwise(roles)):
            raise ValueError("system message must be at the beginning")
        return " ".join(f"{message['role'][0]}:{message['content']!r}" for message in messages)

    def encode(self, text: str, **_options: Any) -> list[int]:
        """Write a token a character."""
        return [ord(letter) for letter in text]


class TemplateTokenizer(Tokenizer):
    """The same, with a real template."""

    def __init__(self, template: str) -> None:
        self.chat_template = template

    def apply_chat_template(self, messages: list[dict[str, Any]], **options: Any) -> str:
        return compile_template(self.chat_template).render(messages=messages, **options)


def prompt(*messages: Message, strict: bool = True, template: str | None = None) -> str:
    words = ModelWords(
        key=ModelKey("m", Path("m")),
        tokenizer=TemplateTokenizer(template) if template else Tokenizer(strict=strict),
        context_tokens=None,
        vocabulary_size=1000,
        eos=frozenset(),
        format=choose_format("", ()),
        has_template=True,
    )
    prepared = prepare(Ask(messages=messages), words, names=FieldNames())
    return "".join(chr(token) for token in prepared.job.prompt)


def test_a_later_system_message_stays_one_where_the_template_knows_it():
    assert prompt(SYSTEM, ASKED, ANSWERED, REMINDED, strict=False) == "s:'s' u:'a' a:'b' s:'r'"


@pytest.mark.parametrize(
    ("messages", "written"),
    [
        ((SYSTEM, ASKED, REMINDED), "s:'s' u:'a\\n\\nr'"),
        ((SYSTEM, ASKED, ANSWERED, REMINDED, ASKED_AGAIN), "s:'s' u:'a' a:'b' u:'r\\n\\nc'"),
        ((ASKED, ANSWERED, REMINDED), "u:'a' a:'b' u:'r'"),
    ],
    ids=["after the user", "before the user", "alone"],
)
def test_a_later_system_message_is_the_users_where_the_template_refuses_it(
    messages: tuple[Message, ...], written: str
):
    assert prompt(*messages) == written


def test_a_template_that_writes_nothing_is_a_bad_request(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Tokenizer, "apply_chat_template", lambda *_args, **_options: "")

    with pytest.raises(ApiError, match="the chat template of 'm' makes an empty prompt of them"):
        prompt(ASKED)


def test_what_the_template_refuses_all_the_same_is_told():
    with pytest.raises(ApiError, match="refuses them: system message must be at the beginning"):
        prompt(ASKED, ASKED_AGAIN)


class CountingTokenizer(Tokenizer):
    """Remembers how much text it was given."""

    def __init__(self) -> None:
        super().__init__(strict=False)
        self.encoded = 0

    def encode(self, text: str, **_options: Any) -> list[int]:
        self.encoded += len(text)
        return super().encode(text)


def refused(text: str, *, longest_token: int | None, context: int = 1000) -> tuple[str, int]:
    """Return why a text is refused, and how many characters were tokenised before."""
    tokenizer = CountingTokenizer()
    words = ModelWords(
        key=ModelKey("m", Path("m")),
        tokenizer=tokenizer,
        context_tokens=context,
        vocabulary_size=1_000_000,
        eos=frozenset(),
        format=choose_format("", ()),
        has_template=True,
        longest_token=longest_token,
    )
    with pytest.raises(ApiError) as caught:
        prepare(Ask(prompt=text), words, names=FieldNames())
    assert caught.value.code == "context_length_exceeded"
    return caught.value.why, tokenizer.encoded


def test_a_prompt_of_many_parts_is_counted_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prompts, "_MOST_AT_ONCE", 7)
    tokenizer = CountingTokenizer()
    words = ModelWords(
        key=ModelKey("m", Path("m")),
        tokenizer=tokenizer,
        context_tokens=8,
        vocabulary_size=1000,
        eos=frozenset(),
        format=choose_format("", ()),
        has_template=True,
    )

    counted = prompts.count_tokens(
        Ask(messages=(Message("user", "one two three four"),)), words, names=FieldNames()
    )

    assert counted == tokenizer.encoded == len("u:'one two three four'")


def test_a_text_that_cannot_fit_the_context_is_refused_before_it_is_tokenised():
    why, encoded = refused("x" * 64_001, longest_token=64, context=999)

    assert why == "the prompt has at least 1000 tokens and the context of 'm' holds 999"
    assert encoded == 0


def test_messages_that_cannot_fit_the_context_are_refused_before_the_template_runs(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delattr(Tokenizer, "apply_chat_template")
    words = ModelWords(
        key=ModelKey("m", Path("m")),
        tokenizer=Tokenizer(strict=False),
        context_tokens=999,
        vocabulary_size=1000,
        eos=frozenset(),
        format=choose_format("", ()),
        has_template=True,
        longest_token=64,
    )

    with pytest.raises(ApiError, match="the prompt has at least 1000 tokens") as caught:
        long = (Message("user", "x" * 32_001), Message("assistant", "y" * 32_001))
        prepare(Ask(messages=long), words, names=FieldNames())

    assert caught.value.code == "context_length_exceeded"


def test_a_long_text_is_refused_by_its_first_part():
    why, encoded = refused("x" * 20_000_000, longest_token=None)

    assert why == "the prompt has at least 100000 tokens and the context of 'm' holds 1000"
    assert encoded == 100_000


def test_a_text_a_little_above_the_context_is_refused_with_its_whole_length():
    why, _ = refused("x" * 1001, longest_token=64)

    assert why == "the prompt has 1001 tokens and the context of 'm' holds 1000"


@pytest.mark.parametrize(
    ("system", "written"),
    [
        ("x-anthropic-billing-header: cc_version=2.1.42; cch=0e1f2;\n\nYou help.", "s:'You help.' u:'a'"),
        ("x-anthropic-billing-header: cch=1;\nX-Other-Client-Header: 2\nYou help.", "s:'You help.' u:'a'"),
        ("x-anthropic-billing-header: cch=1;", "u:'a'"),
        ("You help.\nx-anthropic-billing-header: y", "s:'You help.\\nx-anthropic-billing-header: y' u:'a'"),
        ("x-axis: time", "s:'x-axis: time' u:'a'"),
    ],
    ids=["a block of its own", "two lines", "alone", "further down", "another text"],
)
def test_a_clients_changing_header_before_the_system_text_is_left_out(system: str, written: str):
    assert prompt(Message("system", system), ASKED) == written


# Source: SmolVLM's chat_template.json; idefics3's is the same. It writes nothing of a content that is a text.
PARTS_ALONE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
EITHER = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}IN PARTS {% for part in message['content'] %}{{ part['text'] or '<image>' }}{% endfor %}"
    "{% endif %} {% endfor %}"
)
CALLED = Message("assistant", "", calls=(Call("1", "f", "{}"),))


def test_texts_are_written_in_parts_for_a_template_that_knows_nothing_else():
    assert prompt(SYSTEM, ASKED, ANSWERED, ASKED_AGAIN, template=PARTS_ALONE) == (
        "<|im_start|>System: s<end_of_utterance>\nUser: a<end_of_utterance>\nAssistant: b<end_of_utterance>\n"
        "User: c<end_of_utterance>\nAssistant:"
    )
    assert "Assistant: <tool_call>" in prompt(ASKED, CALLED, ASKED_AGAIN, template=PARTS_ALONE)
    assert "Assistant: <end" in prompt(ASKED, Message("assistant", ""), ASKED_AGAIN, template=PARTS_ALONE)


def test_texts_are_written_as_texts_for_a_template_that_takes_either():
    assert prompt(SYSTEM, ASKED, template=EITHER) == "s a "

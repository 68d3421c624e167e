"""A loaded model's text side: its tokenizer, template and markers, without its weights.

Requests hold on to this while they last, so it must not keep weights in memory.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.vision.eyes import Eyes
from local_ai.engine.core.vision.prompt_eyes import PromptEyes
from local_ai.engine.formats.families import choose_format
from local_ai.engine.formats.format import Format, Marks


@dataclass(frozen=True, eq=False)  # one per load, told apart by identity
class ModelWords:
    """The tokenizer and marks that write a prompt for a model and read its answer."""

    key: ModelKey
    tokenizer: Any  # mlx_lm's TokenizerWrapper
    context_tokens: int | None
    vocabulary_size: int  # of the tokenizer
    eos: frozenset[int]
    format: Format
    has_template: bool
    control: frozenset[int] = frozenset()  # tokens that are no text: special ones that are none of its marks
    embedding_rows: int | None = None  # the model reads only token ids below it; None: not known
    longest_token: int | None = None  # a token stands for at most so many characters; None: not known
    eyes: Eyes | PromptEyes | None = None  # None: its prompts can show no pictures
    blind_why: str = "it reads text alone"  # of a model without eyes
    keeps_branches: bool = False  # its state is kept where prompts branch, for it cannot be cut back
    joins_bytes: bool = False  # a text is its tokens' bytes, one after the other
    texts_alone: dict[int, str | None] = field(default_factory=dict)  # by token; None: part of a character
    # A tokenizer in Python may keep state: one caller at a time.
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sees(self) -> bool:
        """True if its prompts may show pictures."""
        return self.eyes is not None

    @property
    def thought(self) -> Marks | None:
        return self.format.thought

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Turn text into tokens; `special` adds what the tokenizer puts before a fresh text."""
        if backend := native_tokenizer(self.tokenizer):
            return list(_encoding(backend, text, special=special).ids)
        with self.lock:
            return [int(token) for token in self.tokenizer.encode(text, add_special_tokens=special)]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Tell where each token of a text begins and ends, in characters; of a native tokenizer alone."""
        backend: Any = native_tokenizer(self.tokenizer)
        (encoding,) = backend.encode_batch([text], add_special_tokens=False)
        return list(encoding.offsets)

    def count(self, text: str) -> int:
        """Count the tokens of a text, without writing them out."""
        if backend := native_tokenizer(self.tokenizer):
            return len(_encoding(backend, text))
        return len(self.encode(text))

    def decode(self, tokens: list[int]) -> str:
        """Turn tokens into text, control tokens included."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=False))

    def text_alone(self, token: int) -> str | None:
        """Return the text that a token adds to whole characters; None where only its neighbours tell."""
        if not self.joins_bytes:
            return None
        if token not in self.texts_alone:
            text = self.decode([token])
            self.texts_alone[token] = None if "\ufffd" in text else text
        return self.texts_alone[token]


def make_words(
    key: ModelKey,
    tokenizer: Any,
    context_tokens: int | None,
    embedding_rows: int | None = None,
    eos: frozenset[int] = frozenset(),
    *,
    keeps_branches: bool = False,
    eyes: Eyes | PromptEyes | None = None,
    blind_why: str = "",
) -> ModelWords:
    """Read a tokenizer's abilities."""
    stated = getattr(tokenizer, "init_kwargs", {}).get("tool_parser_type")
    template = tokenizer.chat_template
    vocabulary = tokenizer.get_vocab()
    form = choose_format(template if isinstance(template, str) else "", vocabulary, parser=stated or "")
    longest_token = None
    if backend := native_tokenizer(tokenizer):
        backend.no_truncation()
        backend.no_padding()
        remember_no_words(tokenizer)
        # Composing characters (NFC) makes one of up to three.
        longest_token = max(map(len, vocabulary)) * (3 if backend.normalizer else 1)
    return ModelWords(
        key=key,
        tokenizer=tokenizer,
        context_tokens=context_tokens,
        vocabulary_size=len(vocabulary),
        # A stale id may be none of the vocabulary's.
        eos=frozenset({*map(int, tokenizer.eos_token_ids), *eos} & {*vocabulary.values()}),
        format=form,
        control=_control_tokens(tokenizer, form),
        has_template=bool(tokenizer.has_chat_template),
        embedding_rows=embedding_rows,
        longest_token=longest_token,
        eyes=eyes,
        blind_why=blind_why or "it reads text alone",
        keeps_branches=keeps_branches,
        joins_bytes=backend is not None and type(backend.decoder).__name__ == "ByteLevel",
    )


def native_tokenizer(tokenizer: Any) -> Any | None:
    """Return the `tokenizers.Tokenizer` inside; None where a model brings a tokenizer in Python."""
    return getattr(tokenizer, "backend_tokenizer", None)


def remember_no_words(tokenizer: Any) -> None:
    """Let a native tokenizer keep no words that it has split.

    tokenizers 0.23 does not free them with the tokenizer: up to 10,000 words of 256 bytes, 56 MB, stayed for
    each time that a model was loaded and unloaded. Without them, a text takes 1.4 times as long to split
    (2 µs a token). Drop once they are freed: a test loads one tokenizer many times.
    """
    backend = native_tokenizer(tokenizer)
    # Only some kinds of models keep any, and its name says that it may go.
    if (resize := getattr(backend.model if backend else None, "_resize_cache", None)) is not None:
        resize(0)


def _encoding(backend: Any, text: str, *, special: bool = False) -> Any:
    # Several threads may encode at once here: nothing of a native tokenizer changes, once truncation and
    # padding are off (make_words). `encode` would hold the interpreter's lock, for a second a megabyte; of a
    # batch it is given up (tokenizers 0.23).
    return backend.encode_batch_fast([text], add_special_tokens=special)[0]


def _control_tokens(tokenizer: Any, form: Format) -> frozenset[int]:
    """Find the tokens that are no text: special ones, but for those that the format reads."""
    read = form.marks
    return frozenset(
        int(number)
        for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
        if token.special and not any(str(token.content) in mark for mark in read)
    )

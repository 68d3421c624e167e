"""Constrained decoding: only tokens that a grammar allows can be drawn. The grammars are llguidance's."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import llguidance
import llguidance.numpy
import mlx.core as mx
import numpy as np

from local_ai.engine.core.array import Array
from local_ai.engine.core.job import Grammar
from local_ai.engine.core.model.tokenizer import ModelWords


@lru_cache(maxsize=2)
def _tokenizer_of(words: ModelWords) -> llguidance.LLTokenizer:
    """Read a vocabulary into llguidance's form, which takes up to a second."""
    # Padding and truncation only concern whole texts, never the vocabulary.
    stated: dict[str, Any] = json.loads(words.tokenizer.backend_tokenizer.to_str())
    stated |= {"padding": None, "truncation": None}
    return llguidance.LLTokenizer(json.dumps(stated), eos_token=sorted(words.eos))


class Constraint:
    """Masks one answer's logits, step by step."""

    def __init__(self, grammar: Grammar, words: ModelWords, prompt_tokens: int) -> None:
        tokenizer = _tokenizer_of(words)
        self._matcher = llguidance.LLMatcher(tokenizer, grammar.text)
        self._mask = llguidance.numpy.allocate_token_bitmask(1, tokenizer.vocab_size)
        self._eos = sorted(words.eos)
        self._after = list(grammar.after)
        self._binds = not self._after
        self._read = prompt_tokens

    def __call__(self, tokens: Array, logits: Array) -> Array:
        new = tokens[self._read :].tolist()
        self._read += len(new)
        if self._binds:
            self._consume(new)
        elif self._after and tokens.shape[0] >= len(self._after):
            self._binds = new != [] and tokens[-len(self._after) :].tolist() == self._after
        if not self._binds:
            return logits
        return mx.where(mx.array(self._allowed(logits.shape[-1])), logits, -mx.inf)

    def _consume(self, tokens: Sequence[int]) -> None:
        # One step is computed ahead of what was accepted, so a token may follow the end.
        if tokens and not self._matcher.is_stopped():
            self._matcher.consume_tokens(list(tokens))

    def _allowed(self, width: int) -> Any:
        """Allowed tokens as booleans (width,); the width may exceed the tokenizer's vocabulary."""
        allowed = np.zeros(width, dtype=bool)
        if self._matcher.is_stopped() or self._matcher.is_error():
            allowed[self._eos] = True
            return allowed
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._mask)
        bits = np.unpackbits(self._mask.view(np.uint8)[0], bitorder="little").astype(bool)
        count = min(width, bits.size)
        allowed[:count] = bits[:count]
        if not allowed.any():
            allowed[self._eos] = True
        return allowed


class ReasoningLimit:
    """Ends a thought that has used its budget, by allowing only its end mark."""

    def __init__(
        self, limit: int, begin: Sequence[int] | None, end: Sequence[int], prompt_tokens: int
    ) -> None:
        """Bound a thought by tokens; `begin` are those it begins with, None where the prompt began it."""
        self._limit = limit
        self._begin = begin
        self._end = list(end)
        self._start = prompt_tokens
        self._forced: list[int] | None = None

    def __call__(self, tokens: Array, logits: Array) -> Array:
        if tokens.shape[0] - self._start < self._limit:
            return logits
        if self._forced is None:
            generated = tokens[self._start :].tolist()
            begun = self._begin is None or _contains(generated, self._begin)
            self._forced = list(self._end) if begun and not _contains(generated, self._end) else []
        if not self._forced:
            return logits
        only = mx.arange(logits.shape[-1]) == self._forced.pop(0)
        return mx.where(only, logits, -mx.inf)


def _contains(tokens: Sequence[int], part: Sequence[int]) -> bool:
    return any(list(tokens[at : at + len(part)]) == list(part) for at in range(len(tokens) - len(part) + 1))

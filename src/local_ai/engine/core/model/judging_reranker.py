"""Qwen3's rerankers: a language model that is asked whether a document answers, judged by "yes" and "no".

Source: https://huggingface.co/Qwen/Qwen3-Reranker-0.6B, whose prompt and reckoning these are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.utils import load_model
from transformers import AutoTokenizer

from local_ai.engine.core.array import Array
from local_ai.engine.core.model.tokenizer import remember_no_words

KIND = "qwen3"
_BEFORE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
    'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
_PAIR = (
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
    "<Query>: {query}\n<Document>: {document}"
)
_AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
_MOST_TOKENS = 8192  # read in one step, unless one pair alone has more


class JudgingReranker:
    """One in memory."""

    def __init__(self, tokenizer: Any, decoder: Any) -> None:
        """Look up the two answers; ValueError where the tokenizer has no token of its own for one of them."""
        self._tokenizer = tokenizer
        self._decoder = decoder
        self._before = tokenizer.encode(_BEFORE, add_special_tokens=False)
        self._after = tokenizer.encode(_AFTER, add_special_tokens=False)
        vocabulary = tokenizer.get_vocab()
        if missing := [word for word in ("yes", "no") if word not in vocabulary]:
            raise ValueError(f"its tokenizer has no token {missing[0]!r} to judge by")
        self._yes, self._no = vocabulary["yes"], vocabulary["no"]

    def count(self, query: str, document: str) -> int:
        """Count a pair's tokens, those of the question around it among them."""
        return len(self._tokens(query, document))

    def score(self, query: str, documents: list[str]) -> list[float]:
        """Tell how well each document answers the query: 0 to 1."""
        rows = [self._tokens(query, document) for document in documents]
        at_once = max(1, _MOST_TOKENS // max(map(len, rows)))
        scores: list[float] = []
        for at in range(0, len(rows), at_once):
            found: Array = mx.sigmoid(self._logits(rows[at : at + at_once]))
            scores += found.tolist()
        return scores

    def _logits(self, rows: Sequence[Sequence[int]]) -> Array:
        """Return of each row of tokens how much likelier "yes" is than "no" after it."""
        lengths = mx.array([len(row) for row in rows])
        longest = max(map(len, rows))
        # Padding comes after the texts, where a decoder's tokens do not look: it needs no mask.
        tokens = mx.array([[*row, *[0] * (longest - len(row))] for row in rows])
        states = self._decoder.model(tokens)
        last = mx.take_along_axis(states, lengths[:, None, None] - 1, axis=1)[:, 0]
        tied = self._decoder.args.tie_word_embeddings
        head = self._decoder.model.embed_tokens.as_linear if tied else self._decoder.lm_head
        found = head(last).astype(mx.float32)
        return found[:, self._yes] - found[:, self._no]

    def _tokens(self, query: str, document: str) -> list[int]:
        # A mark such as <|im_end|> in a document is text there: it must not end the question.
        pair = self._tokenizer.encode(
            _PAIR.format(query=query, document=document), add_special_tokens=False, split_special_tokens=True
        )
        return [*self._before, *pair, *self._after]


def load_judging_reranker(folder: Path) -> JudgingReranker:
    """Read one into memory.

    Raises:
        ValueError: It is a Qwen3 that was not made for this, as far as its name says.
        Exception: As mlx-lm, transformers and MLX raise where it cannot be read.
    """
    # A chat model has the same config.json. In the hub's cache the name is two folders above the files.
    if not any("rerank" in part.lower() for part in folder.parts[-3:]):
        raise ValueError('it is a Qwen3 without "rerank" in its name, so one that was not trained to judge')
    decoder, _ = load_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    remember_no_words(tokenizer)
    return JudgingReranker(tokenizer, decoder)

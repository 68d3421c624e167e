"""Remembered prompts: the attention state of earlier conversations, so a follow-up reads only what is new.

mlx-lm's own `LRUPromptCache` is not used: a prompt it holds exactly comes back with nothing left to read,
which its server's thread does not survive, and its search for a longer entry takes time that grows with the
square of that entry's length.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mlx_lm.models.cache import can_trim_prompt_cache, trim_prompt_cache
from numpy.typing import NDArray

Layers = list[Any]  # one mlx_lm cache per layer


@dataclass(eq=False)
class _Entry:
    tokens: NDArray[np.int64]
    layers: Layers
    n_bytes: int


@dataclass(frozen=True)
class Remembered:
    """A copy of a prompt's remembered beginning, to go on from."""

    layers: Layers | None  # None: nothing of it is remembered
    tokens: int  # how many of the prompt's tokens it covers; always fewer than there are


class PrefixMemory:
    """The latest prompts and answers of the loaded model, bounded by bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: list[_Entry] = []  # the least recently used first

    @property
    def n_bytes(self) -> int:
        return sum(entry.n_bytes for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        self._entries.clear()

    def recall(self, prompt: Sequence[int]) -> Remembered:
        """Find the longest remembered beginning; at least the last token is always left to read."""
        wanted = np.asarray(prompt, dtype=np.int64)
        best, best_length = None, 0
        for entry in self._entries:
            length = min(_common(entry.tokens, wanted), len(wanted) - 1)
            if length < len(entry.tokens) and not can_trim_prompt_cache(entry.layers):
                continue
            if length > best_length:
                best, best_length = entry, length
        if best is None:
            return Remembered(None, 0)
        self._entries.remove(best)
        self._entries.append(best)
        layers = copy.deepcopy(best.layers)
        if best_length < len(best.tokens):
            trim_prompt_cache(layers, len(best.tokens) - best_length)
        return Remembered(layers, best_length)

    def remember(self, tokens: Sequence[int], layers: Layers) -> None:
        """Keep a prompt's state; what it makes superfluous, and then the oldest, is forgotten."""
        entry = _Entry(np.asarray(tokens, dtype=np.int64), layers, sum(layer.nbytes for layer in layers))
        if entry.n_bytes > self._max_bytes or not len(tokens):
            return
        if can_trim_prompt_cache(layers):
            self._entries = [e for e in self._entries if _common(e.tokens, entry.tokens) < len(e.tokens)]
        self._entries.append(entry)
        while self.n_bytes > self._max_bytes:
            del self._entries[0]


def _common(left: NDArray[np.int64], right: NDArray[np.int64]) -> int:
    """Count the tokens that both begin with."""
    length = min(len(left), len(right))
    differs = np.flatnonzero(left[:length] != right[:length])
    return int(differs[0]) if differs.size else length

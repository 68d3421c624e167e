"""Remembered prompts: the attention state of earlier conversations, so a follow-up reads only what is new.

One entry is one conversation as far as it was read or written. Where its layers cannot be cut back, it has
checkpoints at the places where others may branch off; conversations that begin alike share them.

mlx-lm's own `LRUPromptCache` is not used: a prompt it holds exactly comes back with nothing left to read,
which its server's thread does not survive, and its search for a longer entry takes time that grows with the
square of that entry's length.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from local_ai.engine.core.memory.cache_layers import (
    Checkpoint,
    Layers,
    checkpoint,
    count_bytes,
    cut_back,
    cuts_anywhere,
    leaves,
)

log = logging.getLogger(__name__)

Tokens = NDArray[np.int32]

MOST_CHECKPOINTS = 8  # of one conversation
_LATEST = 3  # of them, left alone while there are others: most conversations continue from their end
_MOST_FORGOTTEN = 32  # whose tokens are known still, to say that they were forgotten
_HEAD_TOKENS = 64  # of each entry, compared with a prompt's all at once
_SOME_TOKENS = 16  # what any two prompts of one template may have in common


@dataclass(eq=False)
class _Entry:
    tokens: Tokens
    layers: Layers
    checkpoints: tuple[Checkpoint, ...]  # shortest first
    head: int  # its place in the cache's _Heads
    used: int = 0  # a number that grows with every use
    n_bytes: int = field(init=False)  # without the checkpoints

    def __post_init__(self) -> None:
        self.n_bytes = count_bytes(self.layers) + self.tokens.nbytes
        # A window that is not full yet can be cut back too.
        self._can_be_cut = all(leaf.is_trimmable() for leaf in leaves(self.layers))

    def reach(self, common: int) -> tuple[int, Checkpoint | None]:
        """Find how many of the first `common` tokens can be reused, and the checkpoint for that."""
        if common == len(self.tokens) or self._can_be_cut:
            return common, None
        kept = max((c for c in self.checkpoints if c.tokens <= common), key=lambda c: c.tokens, default=None)
        return (kept.tokens, kept) if kept else (0, None)


class _Heads:
    """The first tokens of entries, in one array.

    Between two steps each new prompt is compared with all entries: one by one, that took 1.4 µs an entry,
    several times for each prompt.
    """

    def __init__(self) -> None:
        self._tokens = np.zeros((64, _HEAD_TOKENS + 1), np.int32)
        self._free: list[int] = [*range(len(self._tokens))]

    def add(self, tokens: Tokens) -> int:
        """Take an entry's; return its place."""
        if not self._free:
            self._free = [*range(len(self._tokens), 2 * len(self._tokens))]
            self._tokens = np.concatenate([self._tokens, self._tokens])
        place = self._free.pop()
        self._tokens[place] = _head(tokens, end=-1)
        return place

    def remove(self, place: int) -> None:
        self._free.append(place)

    def commons(self, wanted: Tokens) -> list[int]:
        """Count by place the tokens that both begin with, as far as they are held here."""
        counts: list[int] = (self._tokens != _head(wanted, end=-2)).argmax(axis=1).tolist()
        return counts


@dataclass(frozen=True)
class Remembered:
    """A copy of a prompt's remembered beginning, to continue from."""

    layers: Layers | None  # None: nothing of it is remembered
    tokens: int  # how many of the prompt's tokens it covers; always fewer than there are
    miss: str = ""  # why it is not more: new prompt | differs at token N | forgotten


class SharedPrompts:
    """The remembered prompts of all models, which are bounded together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._caches: list[PromptCache] = []
        self._uses = 0

    @property
    def n_bytes(self) -> int:
        return sum(cache.n_bytes for cache in self._caches)

    def add(self, cache: PromptCache) -> None:
        self._caches.append(cache)

    def remove(self, cache: PromptCache) -> None:
        """Count a model's prompts no more; they are forgotten."""
        cache.clear()
        self._caches.remove(cache)

    def next_use(self) -> int:
        """Number a use of an entry, of whichever model."""
        self._uses += 1
        return self._uses

    def forget(self, n_bytes: int) -> None:
        """Forget the oldest until so many bytes are given back, or nothing is left."""
        target = self.n_bytes - n_bytes
        while self.n_bytes > target:
            caches = [cache for cache in self._caches if len(cache)]
            if not caches:
                return
            min(caches, key=lambda cache: cache.oldest_use).forget_oldest()


class PromptCache:
    """The latest prompts and answers of one model, bounded by bytes."""

    def __init__(self, max_bytes: int, shared: SharedPrompts | None = None) -> None:
        """Remember nothing yet; `shared` is the bound of all models' caches together, None one of its own."""
        self.max_bytes = max_bytes
        self.checkpoint_bytes = max_bytes // 4  # most that those of one conversation may take
        self._shared = shared or SharedPrompts(max_bytes)
        self._shared.add(self)
        self._entries: list[_Entry] = []  # the least recently used first
        self._heads = _Heads()
        self._forgotten: deque[Tokens] = deque(maxlen=_MOST_FORGOTTEN)

    @property
    def oldest_use(self) -> int:
        """Number of the use that is longest ago; there must be an entry."""
        return self._entries[0].used

    @property
    def n_bytes(self) -> int:
        kept = {id(c): c.n_bytes for entry in self._entries for c in entry.checkpoints}
        return sum([entry.n_bytes for entry in self._entries]) + sum(kept.values())

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        self._entries.clear()
        self._heads = _Heads()
        self._forgotten.clear()

    def recall(self, prompt: Sequence[int]) -> Remembered:
        """Find the longest remembered beginning; at least the last token is always left to read."""
        wanted = _as_tokens(prompt)
        commons = self._commons(wanted)
        best, length, kept = self._longest(commons, len(wanted) - 1)
        nearest = max((common for _, common in commons), default=0)
        is_continued = any(nearest == common == len(entry.tokens) for entry, common in commons)
        miss = self._miss(wanted, nearest, is_continued=is_continued)
        if best is None:
            return Remembered(None, 0, miss)
        self._entries.remove(best)
        self._entries.append(best)
        best.used = self._shared.next_use()
        return Remembered(cut_back(best.layers, length, len(best.tokens), kept), length, miss)

    def count(self, prompt: Sequence[int]) -> int:
        """Count the prompt's tokens that `recall` would find."""
        wanted = _as_tokens(prompt)
        return self._longest(self._commons(wanted), len(wanted) - 1)[1]

    def _commons(self, wanted: Tokens) -> list[tuple[_Entry, int]]:
        """Count for each entry the tokens that it and a prompt begin with."""
        counts = self._heads.commons(wanted)
        return [
            (entry, count if count < _HEAD_TOKENS else _common(entry.tokens, wanted))
            for entry in self._entries
            for count in (counts[entry.head],)
        ]

    def _longest(
        self, commons: Iterable[tuple[_Entry, int]], most: int
    ) -> tuple[_Entry | None, int, Checkpoint | None]:
        """Find the entry that spares most of a prompt, how many tokens, and its checkpoint for that."""
        best, length, kept = None, 0, None
        for entry, common in commons:
            if common > length:  # it cannot reach further
                reached, at = entry.reach(min(common, most))
                if reached > length:
                    best, length, kept = entry, reached, at
        return best, length, kept

    def _miss(self, wanted: Tokens, nearest: int, *, is_continued: bool) -> str:
        """Say why no remembered prompt continues as this one does after its first `nearest` tokens."""
        if any(_common(tokens, wanted) > nearest + _SOME_TOKENS for tokens in self._forgotten):
            return "forgotten"
        if is_continued or nearest >= len(wanted) - 1:
            return ""
        return f"differs at token {nearest}" if nearest >= _SOME_TOKENS else "new prompt"

    def remember(
        self, tokens: Sequence[int], layers: Layers, checkpoints: Iterable[Checkpoint] = ()
    ) -> tuple[Checkpoint, ...]:
        """Keep a prompt's state; what it makes superfluous, and then the oldest, is forgotten.

        Args:
            tokens: That it covers.
            layers: Settled.
            checkpoints: At earlier places of it; those of conversations with the same beginning are added.

        Returns:
            All checkpoints of this conversation, the shortest first.
        """
        covered = _as_tokens(tokens)
        entry = _Entry(covered, layers, tuple(checkpoints), self._heads.add(covered), self._shared.next_use())
        if entry.n_bytes > self.max_bytes or not len(tokens):
            self._heads.remove(entry.head)
            return entry.checkpoints
        commons = self._commons(covered)
        if not cuts_anywhere(layers):
            kept = {c.tokens: c for other, common in commons for c in _within(other, common)}
            kept |= {c.tokens: c for c in entry.checkpoints}
            kept.pop(len(tokens), None)
            entry.checkpoints = thin_out(kept.values(), self.checkpoint_bytes)
        for other, common in commons:
            if common == len(other.tokens):
                self._entries.remove(other)
                self._heads.remove(other.head)
        self._entries.append(entry)
        self._shared.forget(self._shared.n_bytes - self.max_bytes)
        return entry.checkpoints

    def forget(self, n_bytes: int) -> None:
        """Forget the oldest, of all models, until so many bytes are given back, or nothing is left."""
        self._shared.forget(n_bytes)

    def forget_oldest(self) -> None:
        """Forget the prompt that was used longest ago; there must be one."""
        oldest = self._entries.pop(0)
        self._heads.remove(oldest.head)
        self._forgotten.append(oldest.tokens)
        log.info("forgot a prompt of %d tokens, %d MB", len(oldest.tokens), oldest.n_bytes // 1_000_000)


def thin_out(checkpoints: Iterable[Checkpoint], most_bytes: int) -> tuple[Checkpoint, ...]:
    """Choose which of one conversation's checkpoints stay: the first, the latest, and some spread between.

    Args:
        checkpoints: In any order.
        most_bytes: That they may take.

    Returns:
        At most `MOST_CHECKPOINTS`, the shortest first.
    """
    kept = sorted(checkpoints, key=lambda c: c.tokens)
    while kept and (len(kept) > MOST_CHECKPOINTS or sum(c.n_bytes for c in kept) > most_bytes):
        if len(kept) > _LATEST + 1:
            gaps = {n: kept[n + 1].tokens - kept[n - 1].tokens for n in range(1, len(kept) - _LATEST)}
            del kept[min(gaps, key=lambda n: gaps[n])]
        else:
            del kept[-2 if len(kept) > 2 else 0]
    return tuple(kept)


def _within(entry: _Entry, common: int) -> list[Checkpoint]:
    """List an entry's checkpoints within its first `common` tokens, its own end among them."""
    kept = [c for c in entry.checkpoints if c.tokens <= common]
    if common == len(entry.tokens):
        kept.append(checkpoint(common, entry.layers))
    return kept


def _as_tokens(tokens: Sequence[int]) -> Tokens:
    return np.asarray(tokens, dtype=np.int32)


def _head(tokens: Tokens, *, end: int) -> Tokens:
    """Return the first tokens, and what no token equals; one more than two heads can have in common."""
    head = np.full(_HEAD_TOKENS + 1, end, np.int32)
    head[:_HEAD_TOKENS][: len(tokens)] = tokens[:_HEAD_TOKENS]
    return head


def _common(left: Tokens, right: Tokens) -> int:
    """Count the tokens that both begin with."""
    length = min(len(left), len(right))
    if not length:
        return 0
    differs = left[:length] != right[:length]
    first = int(differs.argmax())
    return first if differs[first] else length

"""Operations on mlx-lm's caches of any kind: own, count, cut back.

A layer of plain attention can be cut back to any shorter prompt. One with a sliding window has dropped what
left the window, and a recurrent one has only its latest state: of these, copies are kept at chosen places.
"""

import copy
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import ArraysCache, CacheList, KVCache, QuantizedKVCache

Layers = list[Any]  # one mlx_lm cache per layer

_CUT_ANYWHERE = (KVCache, QuantizedKVCache)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state that layers had at one place of a prompt, of those that cannot be cut back to it."""

    tokens: int  # of the prompt, up to there
    caches: tuple[Any, ...]  # in the layers' order, without those that can be cut anywhere
    n_bytes: int


def leaves(layers: Layers) -> list[Any]:
    """List the caches themselves: those in a `CacheList` one by one."""
    inner = (leaves(list(layer.caches)) if isinstance(layer, CacheList) else [layer] for layer in layers)
    return [leaf for some in inner for leaf in some]


def cuts_anywhere(layers: Layers) -> bool:
    """Return True if layers of such kinds can be cut back to any shorter prompt."""
    return all(isinstance(leaf, _CUT_ANYWHERE) for leaf in leaves(layers))


def settle(layers: Layers) -> None:
    """Begin to compute what layers taken out of a batch hold, in memory of their own, and do not wait for it.

    mlx-lm 0.32 hands over a row of an `ArraysCache` as a slice, which keeps its whole batch in memory.
    `mx.contiguous` would leave one be whose batch is at most 16 KB larger; taking a row always copies.
    """
    for leaf in leaves(layers):
        if isinstance(leaf, ArraysCache):
            row = mx.array([0])
            leaf.cache = [None if array is None else mx.take(array, row, axis=0) for array in leaf.cache]
    mx.async_eval([leaf.state for leaf in leaves(layers)])  # type: ignore[no-untyped-call]


def count_bytes(layers: Layers) -> int:
    """Count the bytes that settled layers hold."""
    return sum(leaf.nbytes for leaf in leaves(layers))


def checkpoint(tokens: int, layers: Layers) -> Checkpoint:
    """Keep what cannot be cut back, of layers just taken out of a batch; the rest costs nothing.

    Args:
        tokens: How many of the prompt's tokens they cover.
        layers: Not settled yet, for what is never computed takes no memory.
    """
    caches = [leaf for leaf in leaves(layers) if not isinstance(leaf, _CUT_ANYWHERE)]
    settle(caches)
    return Checkpoint(tokens, tuple(caches), count_bytes(caches))


def cut_back(layers: Layers, tokens: int, end: int, kept: Checkpoint | None) -> Layers:
    """Copy layers of `end` tokens and cut the copy back to `tokens`.

    Args:
        layers: Stay as they are.
        tokens: At most `end`.
        end: How many tokens they cover.
        kept: Their checkpoint at `tokens`; None where all of them can be cut back by themselves.
    """
    caches = iter(kept.caches) if kept else None

    def cut(cache: Any) -> Any:
        if isinstance(cache, CacheList):
            return CacheList(*(cut(inner) for inner in cache.caches))
        if caches is not None and not isinstance(cache, _CUT_ANYWHERE):
            return copy.deepcopy(next(caches))
        own = copy.deepcopy(cache)
        if end > tokens:
            own.trim(end - tokens)
        return own

    return [cut(layer) for layer in layers]

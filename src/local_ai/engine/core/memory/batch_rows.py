"""mlx-lm's caches of plain attention, whose rows come, go and leave without waiting for the device.

mlx-lm 0.32 keeps the padding of a batch's rows on the device alone, and reads it there whenever a row joins,
ends or is copied out: once for each layer, and each time until all that was begun is computed. The next step
then begins late. Here the same numbers are kept on the host too, which spares each step of answers what it
can know beforehand: a mask where no row is padded, with which MLX attends by one kernel instead of six on an
NVIDIA card, and an addition in each layer.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

import mlx.core as mx
from mlx_lm.models.cache import BatchKVCache, CacheList, KVCache


class RowCache(KVCache):  # type: ignore[misc]
    """One row's keys and values; several of them join to a `BatchRows`."""

    @classmethod
    def merge(cls, caches: Sequence[KVCache]) -> BatchRows:
        """Join rows to a batch."""
        return BatchRows.merge(caches)


class BatchRows(BatchKVCache):  # type: ignore[misc]
    """The keys and values of a batch's rows, each padded on its left to the longest."""

    keys: Any
    values: Any
    offset: Any
    left_padding: Any

    def __init__(self, left_padding: Sequence[int]) -> None:
        """Begin with rows of so much padding, in tokens."""
        super().__init__(left_padding)
        self._left = tuple(left_padding)
        self._right: list[int] = []

    @property
    def lengths(self) -> list[int]:
        """The tokens of each row, without its padding."""
        return [self._idx - left for left in self._left]

    def update_and_fetch(self, keys: Any, values: Any) -> tuple[Any, Any]:
        """Add tokens to each row; return all keys and values."""
        self.offset = 0  # mlx-lm adds to it: a number, no array in each layer
        both: tuple[Any, Any] = super().update_and_fetch(keys, values)
        self.offset = _offsets(self._left, self._idx)
        return both

    def make_mask(self, N: int, return_array: bool = False, **kwargs: Any) -> Any:  # noqa: N803
        """Say what the next tokens attend to; None: to everything."""
        window: int | None = kwargs.get("window_size")
        is_whole = not any(self._left) and (window is None or self._idx < window)
        if N == 1 and is_whole and not return_array:
            return None
        return super().make_mask(N, return_array, **kwargs)

    @classmethod
    def merge(cls, caches: Sequence[KVCache]) -> Self:
        """Join rows to a batch."""
        if all(cache.empty() for cache in caches):
            return cls([0] * len(caches))
        merged: Self = super().merge(caches)
        return merged

    def prepare(
        self,
        *,
        left_padding: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        right_padding: Sequence[int] | None = None,
    ) -> None:
        """Expect tokens with padding, of so many tokens for each row."""
        super().prepare(left_padding=left_padding, lengths=lengths, right_padding=right_padding)
        if left_padding is not None:
            self._left = _sums(self._left, left_padding)
        if right_padding is not None and max(right_padding) > 0:
            self._right = list(right_padding)

    def finalize(self) -> None:
        """Turn padding on the right into padding on the left."""
        super().finalize()
        if self._right:
            self._left = _sums(self._left, self._right)
            self._right = []

    def filter(self, batch_indices: Sequence[int]) -> None:
        """Keep the rows of these numbers, in this order."""
        if list(batch_indices) != list(range(len(self._left))):
            if self.keys is not None:
                self.keys = self.keys[batch_indices]
                self.values = self.values[batch_indices]
            self.offset = self.offset[batch_indices]
            self.left_padding = self.left_padding[batch_indices]
            self._left = tuple(self._left[index] for index in batch_indices)
        if not (spare := min(self._left, default=0)):
            return
        if self.keys is not None:
            self.keys = self.keys[..., spare:, :]
            self.values = self.values[..., spare:, :]
        self._idx -= spare
        self.left_padding = self.left_padding - spare
        self._left = tuple(have - spare for have in self._left)

    def extend(self, other: BatchRows) -> None:
        """Add the rows of another batch behind these."""
        longest = max(self._idx, other._idx)
        left = tuple(have + longest - rows._idx for rows in (self, other) for have in rows._left)
        super().extend(other)
        self._left = left

    def extract(self, idx: int) -> RowCache:
        """Copy one row out, without its padding; it is not computed yet."""
        row = RowCache()
        place = (slice(idx, idx + 1), slice(None), slice(self._left[idx], self._idx))
        row.keys = mx.contiguous(self.keys[place])
        row.values = mx.contiguous(self.values[place])
        row.offset = row.keys.shape[2]
        return row

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Share the arrays: mlx-lm copies a batch only to filter both, and a filter makes new ones."""
        twin = copy.copy(self)
        memo[id(self)] = twin
        return twin


def _sums(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip(left, right, strict=True)))


@lru_cache(maxsize=64)
def _offsets(left: tuple[int, ...], length: int) -> Any:
    """Count each row's tokens: one array for all layers of a step."""
    return mx.array([length - padding for padding in left])


def as_rows(layers: list[Any]) -> list[Any]:
    """Put layers of plain attention into a `RowCache`; the others stay as they are."""
    return [_as_row(layer) for layer in layers]


def _as_row(layer: Any) -> Any:
    if isinstance(layer, CacheList):
        return CacheList(*as_rows(list(layer.caches)))
    if type(layer) is not KVCache:
        return layer
    row = RowCache()
    row.state = layer.state
    return row

"""mlx-lm's caches of plain attention, whose rows come, go and leave without waiting for the device.

mlx-lm 0.32 keeps the padding of a batch's rows on the device alone, and reads it there whenever a row joins,
ends or is copied out: once for each layer, and each time until all that was begun is computed. The next step
then begins late. Here the same numbers are kept on the host too.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
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
        self._left = list(left_padding)
        self._right: list[int] = []

    @property
    def lengths(self) -> list[int]:
        """The tokens of each row, without its padding."""
        return [self._idx - left for left in self._left]

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
            self._left = [have + more for have, more in zip(self._left, left_padding, strict=True)]
        if right_padding is not None and max(right_padding) > 0:
            self._right = list(right_padding)

    def finalize(self) -> None:
        """Turn padding on the right into padding on the left."""
        super().finalize()
        if self._right:
            self._left = [have + more for have, more in zip(self._left, self._right, strict=True)]
            self._right = []

    def filter(self, batch_indices: Sequence[int]) -> None:
        """Keep the rows of these numbers, in this order."""
        if list(batch_indices) != list(range(len(self._left))):
            if self.keys is not None:
                self.keys = self.keys[batch_indices]
                self.values = self.values[batch_indices]
            self.offset = self.offset[batch_indices]
            self.left_padding = self.left_padding[batch_indices]
            self._left = [self._left[index] for index in batch_indices]
        if not (spare := min(self._left, default=0)):
            return
        if self.keys is not None:
            self.keys = self.keys[..., spare:, :]
            self.values = self.values[..., spare:, :]
        self._idx -= spare
        self.left_padding = self.left_padding - spare
        self._left = [have - spare for have in self._left]

    def extend(self, other: BatchRows) -> None:
        """Add the rows of another batch behind these."""
        longest = max(self._idx, other._idx)
        left = [[have + longest - rows._idx for have in rows._left] for rows in (self, other)]
        super().extend(other)
        self._left = [*left[0], *left[1]]

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

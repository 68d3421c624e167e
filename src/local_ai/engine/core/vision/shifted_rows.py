"""Rows of a batch whose positions are moved by the pictures before them.

A picture of a family with positions in time, height and width (M-RoPE) takes fewer positions than places, so
what follows it is moved back, each row of a batch by its own. The cache of the first layer of plain attention
carries that number.

Source: https://arxiv.org/abs/2409.12191, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from local_ai.engine.core.array import Array
from local_ai.engine.core.memory.batch_rows import BatchRows, RowCache


class ShiftedRow(RowCache):
    """One row's keys and values, and the shift of what follows them."""

    shift = 0  # positions, mostly less than 0

    @classmethod
    def of(cls, row: RowCache, shift: int) -> ShiftedRow:
        """Take over a row's arrays."""
        own = cls()
        own.state, own.shift = row.state, shift
        return own

    @classmethod
    def merge(cls, caches: Sequence[Any]) -> ShiftedRows:
        """Join rows to a batch."""
        merged = ShiftedRows.merge(caches)
        merged.shift = mx.array([int(cache.shift) for cache in caches], mx.int32)
        return merged


class ShiftedRows(BatchRows):
    """The keys and values of a batch's rows, and a shift for each."""

    shift: Array

    def __init__(self, left_padding: Sequence[int]) -> None:
        super().__init__(left_padding)
        self.shift = mx.zeros(len(left_padding), mx.int32)

    def filter(self, batch_indices: Sequence[int]) -> None:
        """Keep the rows of these numbers, in this order."""
        super().filter(batch_indices)
        self.shift = self.shift[mx.array(list(batch_indices), mx.int32)]

    def extend(self, other: BatchRows) -> None:
        """Add the rows of another batch behind these."""
        super().extend(other)
        self.shift = mx.concatenate([self.shift, other.shift])


def positions(cache: Any, places: Array | None, length: int) -> Array:
    """Count the positions of what is read next (3, batch, length), and move what follows its pictures.

    Args:
        cache: Of the first layer of plain attention: ShiftedRows, or one row of any kind.
        places: How each token moves them (batch, length, 4), as in `Rows`; None: none does.
        length: Tokens of each row.
    """
    shift = getattr(cache, "shift", 0)
    begin = mx.array(cache.offset) + shift
    along = begin.reshape(-1, 1) + mx.arange(length)
    if places is None:
        return mx.broadcast_to(along[None], (3, *along.shape))
    moved = mx.cumsum(places[..., 3], axis=1)
    cache.shift = shift + moved[:, -1]
    along = along + moved - places[..., 3]
    return along[None] + places[..., :3].transpose(2, 0, 1)

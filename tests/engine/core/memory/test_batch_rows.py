"""Rows of plain attention: the same as mlx-lm's own caches hold, whatever happens to them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models.cache import BatchKVCache, CacheList, KVCache, RotatingKVCache

from local_ai.engine.core.memory.batch_rows import BatchRows, RowCache, as_rows


def tokens(rows: int, length: int, *, first: int) -> mx.array:
    """Make keys of `rows` rows, 2 heads, `length` tokens and 4 numbers each, all different."""
    size = rows * 2 * length * 4
    return mx.arange(first, first + size, dtype=mx.float32).reshape(rows, 2, length, 4)


def feed(cache: Any, length: int, *, first: int, rows: int = 1) -> Any:
    keys = tokens(rows, length, first=first)
    cache.update_and_fetch(keys, -keys)
    return cache


def row(kind: type[KVCache], length: int, *, first: int) -> KVCache:
    return feed(kind(), length, first=first) if length else kind()


def batches() -> tuple[BatchKVCache, BatchRows]:
    """Make mlx-lm's batch and ours, of the same three rows."""
    own, ours = (
        kind.merge([row(kind, length, first=100 * length) for length in (3, 5, 2)])
        for kind in (KVCache, RowCache)
    )
    assert (type(own), type(ours)) == (BatchKVCache, BatchRows)
    return own, ours


def shown(cache: Any) -> list[Any]:
    keys, values = cache.keys_and_values()
    return [array.tolist() for array in (keys, values, cache.offset, cache.left_padding)]


def drop_longest(cache: Any) -> Any:
    cache.filter([0, 2])
    return cache


def drop_none(cache: Any) -> Any:
    cache.filter([0, 1, 2])
    return cache


def turn_around(cache: Any) -> Any:
    cache.filter([2, 0])
    return cache


def join(cache: Any) -> Any:
    other = type(cache).merge([row(KVCache, 7, first=9000)])
    cache.extend(other)
    return cache


def join_shorter(cache: Any) -> Any:
    cache.extend(type(cache).merge([row(KVCache, 1, first=9000)]))
    return cache


def read_padded(cache: Any) -> Any:
    cache.prepare(lengths=[4, 1, 2], right_padding=[0, 3, 2])
    feed(cache, 4, first=5000, rows=3)
    cache.finalize()
    return cache


def split(cache: Any) -> Any:
    twin = copy.deepcopy(cache)
    cache.filter([0])
    twin.filter([1, 2])
    feed(cache, 1, first=7000)
    return twin


def trim(cache: Any) -> Any:
    cache.trim(1)
    return cache


@pytest.mark.parametrize(
    "changes",
    [
        [drop_longest],
        [drop_none],
        [turn_around],
        [join],
        [join_shorter, drop_longest],
        [read_padded],
        [read_padded, drop_longest],
        [split],
        [read_padded, split, join],
        [trim, drop_longest, join],
    ],
    ids=lambda changes: ", ".join(change.__name__ for change in changes),
)
def test_rows_hold_what_those_of_mlx_lm_hold(changes: list[Any]):
    own, ours = batches()

    for change in changes:
        own, ours = change(own), change(ours)
    rows = own.offset.shape[0]
    feed(own, 1, first=8000, rows=rows)
    feed(ours, 1, first=8000, rows=rows)

    assert shown(ours) == shown(own)
    for number in range(rows):
        mine, theirs = ours.extract(number), own.extract(number)
        assert mine.offset == theirs.offset
        assert mine.keys.tolist() == theirs.keys.tolist()
        assert mine.values.tolist() == theirs.values.tolist()


def test_rows_that_have_read_nothing_join_and_read_padded():
    own, ours = (kind.merge([kind(), kind(), kind()]) for kind in (KVCache, RowCache))

    assert type(ours) is BatchRows
    assert shown(read_padded(ours)) == shown(read_padded(own))


def test_only_plain_attention_becomes_rows_of_ours():
    plain, window = row(KVCache, 3, first=0), RotatingKVCache(8)

    mine, kept, inside = as_rows([plain, window, CacheList(KVCache(), RotatingKVCache(8))])

    assert (type(mine), kept is window) == (RowCache, True)
    assert mine.keys.tolist() == plain.keys.tolist()
    assert [type(leaf) for leaf in inside.caches] == [RowCache, RotatingKVCache]


def equally_long() -> BatchRows:
    return BatchRows.merge([row(RowCache, 3, first=number) for number in (0, 100)])


@pytest.mark.parametrize("window", [None, 4], ids=["no window", "within its window"])
def test_the_next_token_of_rows_without_padding_needs_no_mask(window: int | None):
    assert equally_long().make_mask(1, window_size=window) is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (lambda: batches()[1], {"N": 1}),
        (equally_long, {"N": 2}),
        (equally_long, {"N": 1, "window_size": 3}),
        (equally_long, {"N": 1, "return_array": True}),
    ],
    ids=["padded", "several tokens", "beyond its window", "asked for"],
)
def test_any_other_mask_is_that_of_mlx_lm(rows: Callable[[], BatchRows], words: dict[str, Any]):
    ours = rows()

    assert ours.make_mask(**words).tolist() == BatchKVCache.make_mask(ours, **words).tolist()


def test_all_layers_of_a_step_share_their_positions():
    first, second = equally_long(), equally_long()

    for layer in (first, second):
        feed(layer, 1, first=7000, rows=2)

    assert first.offset is second.offset
    assert first.offset.tolist() == [4, 4]

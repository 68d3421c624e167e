"""mlx-lm's batch generator on rank 0, which orders each of its steps on the other ranks first.

What decides shapes or tokens is rank 0's alone: which rows there are, how much of a prompt is read, which
remembered prompts go on, what is drawn. The others call the same generator with the same arguments, and get
the tokens that rank 0 drew from a sum over all ranks, within the step.

A state that leaves the batch, to be remembered, is kept by each rank under the next number. Rank 0's caches
bear that number as a tag, copies of them too; when the last tag is gone, the others forget theirs.

That all ranks have done the same is compared in each step, before a token of it is told: a group whose ranks
differ ends, rather than answer wrong.
"""

import weakref
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Self

import mlx.core as mx
import numpy as np
from mlx_lm.generate import BatchGenerator

from local_ai.engine.cluster.channel import Message
from local_ai.engine.cluster.shards import RanksDiffer, compare, share
from local_ai.engine.core.memory.batch_rows import BatchRows
from local_ai.engine.core.memory.cache_layers import Layers, cuts_anywhere, leaves


class GroupFailed(BaseException):
    """A step failed on rank 0 alone: the other ranks wait for it, and only a new group can go on."""


class Kept:
    """Numbers for states that all ranks keep, until rank 0 has no more use for them."""

    def __init__(self) -> None:
        self._numbers = count()
        self._dropped: deque[int] = deque()  # finalizers run on any thread

    def tag(self, layers: Layers) -> None:
        """Mark a state that has just left a batch."""
        number = next(self._numbers)
        handle = _Handle()
        weakref.finalize(handle, self._dropped.append, number).atexit = False
        for leaf in leaves(layers):
            leaf.kept = _Tag(handle, number, getattr(leaf, "offset", 0))

    def dropped(self) -> list[int]:
        """Take the numbers that no cache bears any more."""
        return [self._dropped.popleft() for _ in range(len(self._dropped))]


class _Handle:
    """Lives as long as any cache of a state."""


class _Tag:
    def __init__(self, handle: _Handle, number: int, offset: int) -> None:
        self.handle, self.number, self.offset = handle, number, offset

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self


def kind_of(leaf: Any) -> str:
    """Name the kind of a cache: those of one kind come from one state, cut back alike."""
    return "attention" if cuts_anywhere([leaf]) else "other"


def _references(layers: Layers) -> dict[str, list[int]]:
    """Say by kind where the others find what a row's caches hold: a state's number, and tokens cut off it."""
    found: dict[str, list[int]] = {}
    for leaf in leaves(layers):
        if tag := getattr(leaf, "kept", None):
            _, most = found.get(kind_of(leaf), (0, 0))
            found[kind_of(leaf)] = [tag.number, max(most, tag.offset - getattr(leaf, "offset", 0))]
    return found


def checksum(tokens: Sequence[int]) -> int:
    """Return a number for tokens, below 2**32."""
    return zlib.crc32(np.asarray(tokens, np.int32).tobytes())


class LeadingGenerator(BatchGenerator):  # type: ignore[misc]
    """A generator that all ranks step together."""

    def __init__(
        self,
        model: Any,
        *,
        name: int,
        model_name: int,
        send: Callable[[Message], None],
        kept: Kept,
        group: Any,
        **options: Any,
    ) -> None:
        """Make it on all ranks.

        Args:
            name: Its number.
            model_name: That of its model.
            options: As BatchGenerator's.
        """
        self._send, self._name, self._kept = send, name, kept
        self._agreement = Agreement(group)
        super().__init__(model, **options)
        plain = {key: value for key, value in options.items() if key != "stream"}
        self._order("generator", model=model_name, options=plain)
        self._is_open = True

    def _order(self, order: str, **more: Any) -> None:
        self._send({"order": order, "generator": self._name, "drop": self._kept.dropped(), **more})

    def insert_segments(
        self, segments: list[list[list[int]]], max_tokens: list[int] | None = None, **more: Any
    ) -> list[int]:
        """Add one row."""
        caches: list[Layers] = more["caches"]
        (read,) = more["all_tokens"]
        states, known = _references(caches[0]), [len(read), checksum(read)]
        # Before mlx-lm takes tokens off it.
        copied = [list(segment) for segment in segments[0]]
        uids: list[int] = super().insert_segments(segments, max_tokens, **more)
        self._order(
            "insert",
            segments=copied,
            max_tokens=max_tokens,
            states=states,
            known=known,
        )
        return uids

    def next(self) -> tuple[list[Any], list[Any]]:
        """Step on all ranks.

        Raises:
            GroupFailed: It failed here.
        """
        self._order("next", piece=self.prefill_step_size)
        try:
            prompts, answers = super().next()
            with mx.stream(self._stream):
                self._agreement.go_on(self)
        except Exception as exc:
            raise GroupFailed("a step failed on rank 0") from exc
        for answer in answers:
            if answer.prompt_cache is not None:
                self._kept.tag(answer.prompt_cache)
        return prompts, answers

    def remove(self, uids: list[int], return_prompt_caches: bool = False) -> dict[int, Any]:
        """Take rows out."""
        # mlx-lm's own calls `extract_cache` below.
        states: dict[int, Any] = super().remove(uids, return_prompt_caches)
        self._order("remove", uids=list(uids))
        return states

    def extract_cache(self, uids: list[int]) -> dict[int, Any]:
        """Copy rows' states out."""
        states: dict[int, Any] = super().extract_cache(uids)
        for layers, _ in states.values():
            self._kept.tag(layers)
        self._order("extract", uids=list(uids))
        return states

    def close(self) -> None:
        """End it on all ranks."""
        super().close()
        if getattr(self, "_is_open", False):
            self._is_open = False
            self._order("close")


class Agreement:
    """Lets all ranks go on with the tokens that rank 0 draws, and makes sure that all do the same.

    A step is compared within the next one, which tells its tokens: to wait for it at once would leave a
    graphics card idle while the next step is prepared.
    """

    def __init__(self, group: Any) -> None:
        self._group = group
        self._mark = 0  # of all that was done so far
        self._shared: Any = None  # by the last step

    def go_on(self, generator: BatchGenerator) -> None:
        """Share what a step has just drawn, and compare the step before.

        Raises:
            RanksDiffer: The ranks have not done the same.
        """
        if self._shared is not None:
            compare(self._shared, self._mark, self._group)
        batches = (generator._prompt_batch, generator._generation_batch)
        done = [(batch.uids, [(len(row), row[-1:]) for row in batch.tokens]) for batch in batches]
        self._mark = zlib.crc32(repr(done).encode(), self._mark)
        for batch in batches:
            rows = (each for each in leaves(batch.prompt_cache) if isinstance(each, BatchRows))
            _check_lengths(batch.tokens, next(rows, None))
        answers = generator._generation_batch
        self._shared = share(answers._next_tokens if answers.uids else None, self._mark, self._group)
        if answers.uids:
            answers._next_tokens = self._shared[:-1]


def _check_lengths(tokens: list[list[int]], rows: BatchRows | None) -> None:
    """Make sure that a batch's first layer of attention holds as many tokens of each row as it should."""
    if rows is None:
        return
    held, expected = rows.lengths, [len(row) for row in tokens]
    if held != expected:
        raise RanksDiffer(f"rows of {expected} tokens have caches of {held}")

"""mlx-lm's batch generator on rank 0, which orders each of its steps on the other ranks first.

What decides shapes or tokens is rank 0's alone: which rows there are, how much of a prompt is read, which
remembered prompts go on, what is drawn. The others call the same generator with the same arguments, and get
the tokens that rank 0 drew from a sum over all ranks, within the step.

A state that leaves the batch, to be remembered, is kept by each rank under the next number. Rank 0's caches
bear that number as a tag, copies of them too; when the last tag is gone, the others forget theirs.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Self

import mlx.core as mx
from mlx_lm.generate import BatchGenerator

from local_ai.engine.cluster.channel import Message
from local_ai.engine.cluster.shards import share
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
        for index, leaf in enumerate(leaves(layers)):
            leaf.kept = _Tag(handle, number, index)

    def dropped(self) -> list[int]:
        """Take the numbers that no cache bears any more."""
        return [self._dropped.popleft() for _ in range(len(self._dropped))]


class _Handle:
    """Lives as long as any cache of a state."""


class _Tag:
    def __init__(self, handle: _Handle, number: int, index: int) -> None:
        self.handle, self.number, self.index = handle, number, index

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self


def _reference(leaf: Any) -> list[int | None] | None:
    """Say where the others find what a cache holds: number, index, and at how many tokens it is cut."""
    tag: _Tag | None = getattr(leaf, "kept", None)
    if tag is None:
        return None
    return [tag.number, tag.index, leaf.offset if cuts_anywhere([leaf]) else None]


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
        self._send, self._name, self._kept, self._group = send, name, kept, group
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
        references = [_reference(leaf) for leaf in leaves(caches[0])]
        # Before mlx-lm takes tokens off it.
        copied = [list(segment) for segment in segments[0]]
        uids: list[int] = super().insert_segments(segments, max_tokens, **more)
        self._order(
            "insert",
            segments=copied,
            max_tokens=max_tokens,
            layers=references if any(references) else None,
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
                share_next(self, self._group)
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


def share_next(generator: BatchGenerator, group: Any) -> None:
    """Let all ranks go on with the tokens that rank 0 has just drawn.

    All that is under way is waited for: sums over ranks meet in the order in which each rank comes to them,
    and rank 0 looks at more of its results, and sooner, than the others do.
    """
    answers = generator._generation_batch
    if answers.uids:
        answers._next_tokens = share(answers._next_tokens, group)
        mx.eval(answers._next_tokens)
    for batch in (generator._prompt_batch, answers):
        mx.eval([cache.state for cache in leaves(batch.prompt_cache)])

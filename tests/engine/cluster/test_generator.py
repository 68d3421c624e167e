"""Rank 0's generator and a follower that does what it orders, in one process: a group of one each."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model
from tests.tiny_families import make_tiny_family

from local_ai.engine.cluster.follower import Follower
from local_ai.engine.cluster.generator import Kept, LeadingGenerator
from local_ai.engine.cluster.shards import RanksDiffer
from local_ai.engine.core.memory.batch_rows import as_rows
from local_ai.engine.core.memory.cache_layers import Checkpoint, checkpoint, cut_back, leaves

_PAUSE = 20


class Group:
    """A leading generator, and the follower of its orders."""

    def __init__(self, model: Any) -> None:
        alone = mx.distributed.init()
        self.model = model
        self.follower = Follower(None, alone)  # type: ignore[arg-type]
        self.follower._models[1] = model
        self.leader = LeadingGenerator(
            model,
            name=1,
            model_name=1,
            send=lambda order: self.follower.do(json.loads(json.dumps(order))),
            kept=Kept(),
            group=alone,
            stream=mx.default_stream(mx.default_device()),
        )

    def insert(self, prompt: list[int], read: int = 0, layers: Any = None) -> None:
        self.leader.insert_segments(
            [[prompt[read:_PAUSE], prompt[max(read, _PAUSE) :]]],
            [2],
            caches=[as_rows(layers or make_prompt_cache(self.model))],
            all_tokens=[prompt[:read]],
        )

    def answer(self) -> tuple[Any, Checkpoint]:
        """Step until the answer is complete; return it, and the prompt's checkpoint at its pause."""
        kept = None
        while True:
            prompts, answers = self.leader.next()
            if kept is None and prompts[0].end_of_segment:
                ((layers, tokens),) = self.leader.extract_cache([prompts[0].uid]).values()
                kept = checkpoint(len(tokens), layers)
            if answers and answers[0].finish_reason:
                assert kept is not None
                return answers[0], kept

    def waiting(self) -> list[list[Any]]:
        """Return what the row that waits goes on from, on rank 0 and on the other: arrays, as lists."""
        both = (self.leader, self.follower._generators[1])
        return [[held(leaf) for leaf in leaves(each._unprocessed_sequences[0][3])] for each in both]


def held(leaf: Any) -> Any:
    """Return what a cache holds, without what was cut off it."""
    arrays = [each for each in leaf.state if isinstance(each, mx.array)]
    if (offset := getattr(leaf, "offset", None)) is not None:
        arrays = [each[..., :offset, :] for each in arrays[:2]]
    return [offset, *(each.tolist() for each in arrays)]


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    @cache
    def make(family: str) -> Any:
        folder: Path = make_tiny_family(tmp_path_factory.mktemp("models") / family, family)
        return load_model(folder)[0]

    return make


@pytest.mark.parametrize(
    ("family", "tokens", "can_be_cut"),
    [("llama", 40, True), ("gpt_oss", 40, True), ("gpt_oss", 100, False), ("qwen3_next", 40, False)],
    ids=["plain attention", "window that is not full", "window that is full", "recurrent"],
)
def test_all_ranks_go_on_from_the_same_remembered_state(
    model_of: Callable[[str], Any], family: str, tokens: int, can_be_cut: bool
):
    group, prompt = Group(model_of(family)), list(range(5, 5 + tokens))
    group.insert(prompt)
    answer, kept = group.answer()

    layers = cut_back(answer.prompt_cache, _PAUSE, len(answer.all_tokens), None if can_be_cut else kept)
    group.insert([*prompt[:_PAUSE], 7, 8, 9], _PAUSE, layers)
    leader, follower = group.waiting()
    group.answer()

    assert follower == leader


def test_a_rank_that_kept_another_state_ends_rather_than_go_on(model_of: Callable[[str], Any]):
    group, prompt = Group(model_of("llama")), list(range(5, 45))
    group.insert(prompt)
    answer, _ = group.answer()
    for kept in group.follower._kept.values():
        kept.tokens[3] = 6

    with pytest.raises(RanksDiffer, match="is not that of the 20 tokens that rank 0 goes on from"):
        group.insert([*prompt[:20], 7], 20, cut_back(answer.prompt_cache, 20, len(answer.all_tokens), None))

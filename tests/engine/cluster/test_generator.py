"""Rank 0's generator and a follower that does what it orders, in one process: a group of one each."""

import json
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model
from tests.tiny_model import make_tiny_model

from local_ai.engine.cluster.follow import Follower
from local_ai.engine.cluster.generator import Kept, LeadingGenerator
from local_ai.engine.cluster.shards import RanksDiffer
from local_ai.engine.core.memory.batch_rows import as_rows
from local_ai.engine.core.memory.cache_layers import cut_back

_PROMPT = list(range(5, 45))


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
            [[prompt[read:]]],
            [2],
            caches=[as_rows(layers or make_prompt_cache(self.model))],
            all_tokens=[prompt[:read]],
        )

    def answer(self) -> Any:
        while True:
            for answer in self.leader.next()[1]:
                if answer.finish_reason:
                    return answer

    def waiting_offsets(self) -> list[list[int]]:
        """Return how many tokens each cache of the row that waits holds, on rank 0 and on the other."""
        both = (self.leader, self.follower._generators[1])
        return [[cache.offset for cache in each._unprocessed_sequences[0][3]] for each in both]


@pytest.fixture(scope="module", params=["full_attention", "sliding_attention"])
def group(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Group:
    folder = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    config = json.loads((folder / "config.json").read_text())
    config |= {"sliding_window": 64, "layer_types": [request.param, "full_attention"]}
    (folder / "config.json").write_text(json.dumps(config))
    return Group(load_model(folder)[0])


def test_a_state_is_cut_back_alike_on_all_ranks(group: Group):
    group.insert(_PROMPT)
    answer = group.answer()

    layers = cut_back(answer.prompt_cache, 20, len(answer.all_tokens), None)
    group.insert([*_PROMPT[:20], 7, 8, 9], 20, layers)

    assert group.waiting_offsets() == [[20, 20]] * 2
    group.answer()


def test_a_rank_that_kept_another_state_ends_rather_than_go_on(group: Group):
    group.insert(_PROMPT)
    answer = group.answer()
    (kept,) = group.follower._kept.values()
    kept.tokens[3] = 6

    with pytest.raises(RanksDiffer, match="is not that of the 20 tokens that rank 0 goes on from"):
        group.insert([*_PROMPT[:20], 7], 20, cut_back(answer.prompt_cache, 20, len(answer.all_tokens), None))

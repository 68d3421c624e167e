"""How a model is split, and that ranks notice where they differ."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.server import free_port
from tests.tiny_model import make_tiny_model
from tests.waits import scaled

from local_ai.engine.cluster.shards import way_to_split

# Two ranks: alike in a step, then not; of one group, then of two; at last they split a model.
_RANK = """
import os, sys
from pathlib import Path
import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model
from local_ai.engine.cluster.join import check_group
from local_ai.engine.cluster.shards import RanksDiffer, compare, share, split
rank = int(os.environ["MLX_RANK"])
group = mx.distributed.init(strict=True, backend="ring")
drawn = mx.array([[5, 6, 7], [0, 0, 0]][rank], mx.uint32)
def agree(tokens, mark):
    summed = share(tokens, mark, group)
    compare(summed, mark, group)
    return summed[:-1].tolist()
print(agree(drawn, 2**32 - 1), agree(None, 8))
check_group(9, group)
for differ in (lambda: agree(drawn, rank), lambda: check_group(rank, group)):
    try:
        differ()
    except (RanksDiffer, RuntimeError) as exc:
        print(exc)
model, _ = load_model(Path(sys.argv[1]), lazy=True)
whole = sum(array.nbytes for _, array in tree_flatten(model.parameters()))
mx.reset_peak_memory()
split(model, "tensor", group)
print(mx.get_active_memory() / whole < 0.6, mx.get_peak_memory() / whole < 0.7, flush=True)
os._exit(0)
"""


def test_ranks_share_what_rank_0_drew_notice_where_they_differ_and_never_hold_a_whole_model(tmp_path: Path):
    model = make_tiny_model(tmp_path / "wide", layers=4, hidden=256)
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{free_port()}"] for _ in range(2)]))
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", _RANK, str(model)],
            env={"MLX_RANK": str(rank), "MLX_HOSTFILE": str(hosts)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]

    said = [rank.communicate(timeout=scaled(60))[0].splitlines() for rank in ranks]

    for rank, lines in enumerate(said):
        assert lines == [
            "[5, 6, 7] []",
            f"the ranks have not done the same: {rank:#x} is not the mark of all",
            "another group of ranks uses the same addresses",
            "True True",
        ]


class Whole:
    """A model that cannot be split."""

    def __init__(self) -> None:
        self.model = self
        self.layers = [None] * 4


class Stages(Whole):
    """A model that can be split by layers alone."""

    def pipeline(self, group: object) -> None: ...


@pytest.mark.parametrize(
    ("size", "backend", "why"),
    [
        (2, "ring", ""),
        (5, "ring", "its 4 layers are fewer than 5 ranks"),
        (2, "nccl", "some layers for each rank (`pipeline`) need a send, which mlx does not have by nccl"),
    ],
)
def test_layers_are_shared_out_whole_where_there_are_enough_and_the_backend_can_send(
    size: int, backend: str, why: str
):
    assert way_to_split(Stages(), {}, size, backend) == (None if why else "pipeline", why)


def test_a_model_that_cannot_be_split_is_named():
    why = "mlx-lm's 'odd' has neither `shard` (slices of layers) nor `pipeline` (some layers)"

    assert way_to_split(Whole(), {"model_type": "odd"}, 2, "ring") == (None, why)

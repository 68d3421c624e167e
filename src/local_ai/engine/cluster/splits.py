"""python -m local_ai.engine.cluster.splits: whether and how a model can be split, for `cluster check`.

In a process of its own, for it imports mlx. It prints one line of JSON; no weights are read.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from local_ai.engine.core.job import ModelKey
from local_ai.engine.process.environment import limits_as_they_are
from local_ai.serving.errors import ApiError

_MOST_RANKS = 64  # as cluster.processes


@dataclass(frozen=True)
class Splits:
    """The ways in which a model can be split."""

    way: str | None  # tensor | pipeline, over as many ranks as wanted; None: it cannot
    why: str  # it cannot; "" where it can
    sizes: tuple[int, ...]  # numbers of ranks, two or more, over which it can be split


def find_splits(key: ModelKey, size: int, backend: str, *, trust_remote_code: bool) -> Splits:
    """Find out how a model can be split over `size` ranks, and over how many others; imports mlx."""
    from local_ai.engine.cluster.shards import way_to_split
    from local_ai.engine.core.model.weight_check import read_model

    try:
        model, config = read_model(key, trust_remote_code=trust_remote_code)
    except ApiError as exc:
        return Splits(None, exc.why, ())
    way, why = way_to_split(model, config, size, backend)
    sizes = (each for each in range(2, _MOST_RANKS + 1) if way_to_split(model, config, each, backend)[0])
    return Splits(way, why, tuple(sizes))


def main() -> None:
    """Print how a model can be split."""
    parser = argparse.ArgumentParser(prog="python -m local_ai.engine.cluster.splits")
    parser.add_argument("--model", required=True, help="its name")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--trust-remote-code", action="store_true")
    given = parser.parse_args()
    key = ModelKey(given.model, given.folder)
    with limits_as_they_are():
        found = find_splits(key, given.ranks, given.backend, trust_remote_code=given.trust_remote_code)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    sys.stdout.flush()
    os._exit(0)  # as the engine: mlx may abort at an orderly exit


if __name__ == "__main__":
    main()

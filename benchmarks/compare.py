"""What moved between two runs: their ratios, which do not depend on the machine as seconds do.

    uv run python -m benchmarks.compare OLD.json NEW.json

Exit code 1 where something of ours became worse beyond its spread, else 0.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.samples import Spread, key_of

_LEAST = 0.05  # less than this is no news, however small the spread


@dataclass(frozen=True)
class Move:
    """One ratio that is not what it was."""

    key: tuple[str, str, str]  # suite, what, who
    old: Spread
    new: Spread
    is_worse: bool

    def __str__(self) -> str:
        suite, what, who = self.key
        word = "worse" if self.is_worse else "better"
        old, new = (f"{at.middle:.2f}× ({at.low:.2f}–{at.high:.2f})" for at in (self.old, self.new))
        return f"{word}: {suite}, {what}, {who}: {old} → {new} of the baseline"


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Move]:
    """Return what moved beyond both runs' spreads: their middle halves do not meet, and it is 5 % or more."""
    before = {key_of(row): row for row in old["rows"]}
    moves = []
    for row in new["rows"]:
        was = before.get(key_of(row))
        if was is None or row["ratio"] is None or was["ratio"] is None:
            continue
        if _is_beyond_spread(was, row):
            is_worse = (row["ratio"] > was["ratio"]) != row["more_is_better"]
            moves.append(Move(key_of(row), _spread(was), _spread(row), is_worse))
    return moves


def missing(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what only the old run measured."""
    seen = {key_of(row) for row in new["rows"]}
    return [key for row in old["rows"] if (key := key_of(row)) not in seen]


def main(words: list[str] | None = None) -> int:
    """Compare two files; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=(__doc__ or "")[:75])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args(words)
    old, new = (json.loads(file.read_text()) for file in (options.old, options.new))
    moves = compare(old, new)
    for move in sorted(moves, key=lambda move: not move.is_worse):
        print(move)
    for key in missing(old, new):
        print(f"not measured any more: {', '.join(key)}")
    if not moves:
        print("nothing moved beyond its spread")
    return int(any(move.is_worse for move in moves))


def _spread(row: dict[str, Any]) -> Spread:
    low, high = row["ratio_quartiles"]
    return Spread(low, row["ratio"], high)


def _is_beyond_spread(old: dict[str, Any], new: dict[str, Any]) -> bool:
    (old_low, old_high), (new_low, new_high) = old["ratio_quartiles"], new["ratio_quartiles"]
    apart = new_low > old_high or new_high < old_low
    return bool(apart and abs(new["ratio"] / old["ratio"] - 1) >= _LEAST)


if __name__ == "__main__":
    sys.exit(main())

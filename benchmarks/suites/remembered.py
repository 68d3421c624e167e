"""A conversation of 8,000 tokens whose engine ends between two turns.

It measures the first word, the tokens that are not read again, and the bytes written. On a tiny
random model, so the seconds are those of small programs: read the tokens and the ratios.
"""

from __future__ import annotations

from itertools import chain

from benchmarks.clock import say
from benchmarks.options import Options
from benchmarks.remembered import Row, ours, theirs
from benchmarks.samples import OURS, Samples, What
from benchmarks.servers import MLX_LM

_FAMILY = "llama"
_OFF = f"{OURS}, cache.disk = 0"


def run(samples: Samples, options: Options) -> None:
    """Hold the conversation with each server, round by round."""
    lines = 40 if options.quick else 138
    for number in range(options.rounds):
        say(f"remembered {number + 1}/{options.rounds}")
        told = chain(ours(_FAMILY, lines, disk="0"), ours(_FAMILY, lines, disk="1"), theirs(_FAMILY, lines))
        for row in told:
            _add(samples, row)


def _add(samples: Samples, row: Row) -> None:
    who = {OURS: OURS, MLX_LM: MLX_LM}.get(row.subject, _OFF)
    samples.add(What("remembered", f"first word, {row.situation}", "s", _OFF), who, row.first_s)
    not_read = What("remembered", f"tokens not read, {row.situation}", "tokens", _OFF, more_is_better=True)
    samples.add(not_read, who, row.cached)
    if row.written is not None:
        samples.add(What("remembered", f"written, {row.situation}", "MB", OURS), who, row.written / 1e6)

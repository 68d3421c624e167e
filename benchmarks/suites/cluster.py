"""One model computed by one process and by two: tokens per second.

By `ring` on this machine, where the two share its cores: read what the exchange costs, not what two machines
do.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from benchmarks.clock import free_port, say
from benchmarks.many_streams import answer_all
from benchmarks.options import Options
from benchmarks.ours import Ours, make_ours, running
from benchmarks.random_model import Shape, write_model
from benchmarks.samples import Samples, What

_SHAPE = Shape(8, 512, 1536, 8, 4, 4096, "float32")  # 115 MB, of which two ranks share 98
_ALONE = "1 rank"
_NAMES = {1: _ALONE, 2: "2 ranks"}
_TOKENS = {1: 32, 4: 32, 16: 16}  # of each answer, by the number of streams
_QUICK_TOKENS = 8


def run(samples: Samples, options: Options) -> None:
    """Ask both by turns."""
    model = options.folder / "models" / "shared"
    write_model(model, _SHAPE)
    with ExitStack() as stack:
        served = {
            name: stack.enter_context(running(_make(options.folder / name, count, model)))
            for count, name in _NAMES.items()
        }
        for number in range(options.rounds):
            say(f"cluster {number + 1}/{options.rounds}")
            for rows, whole in _TOKENS.items():
                tokens = _QUICK_TOKENS if options.quick else whole
                what = What(
                    "cluster",
                    f"tokens/s of {rows} stream{'s' if rows > 1 else ''}",
                    "tokens/s",
                    _ALONE,
                    more_is_better=True,
                )
                for name, ours in served.items():
                    _tokens_per_s(ours, model.name, rows, _QUICK_TOKENS, f"before {number}")
                    samples.add(what, name, _tokens_per_s(ours, model.name, rows, tokens, f"round {number}"))


def _make(home: Path, processes: int, model: Path) -> Ours:
    ours = make_ours(home, free_port(), model)
    ours.paths.config_file.parent.mkdir(parents=True)
    ours.paths.config_file.write_text(f'[cluster]\nprocesses = {processes}\nbackend = "ring"\n')
    return ours


def _tokens_per_s(ours: Ours, model: str, rows: int, tokens: int, mark: str) -> float:
    texts = [f"{mark}.{row}: a story of a fox." for row in range(rows)]
    streams = answer_all(ours.port, model, texts, tokens)
    took = max(stream.ended or 0.0 for stream in streams) - min(stream.began for stream in streams)
    return sum(stream.tokens for stream in streams) / took

"""Whether an engine's memory grows: one batch of a tiny model, in process, for many steps or many chats.

    uv run python benchmarks/growth.py [--family qwen3_next] [--steps 5000] [--rows 1]
    uv run python benchmarks/growth.py --tokens 100000 [--family qwen3_next]

With `--steps`, answers that never end: bytes that MLX has in use beside the attention state, which has to
grow. With `--tokens`, new chats, 64 at a time, and their next turns, until so many tokens are generated:
bytes in use after each turn, and what the process takes. The model is made on the spot; it answers nonsense.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.engine.core.batches import ask, finish, make_batch, words
from tests.tiny_families import FAMILIES

_CACHE_BYTES = 8_000_000
_ROWS = 64
_SYSTEM = words(1, 600)


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.tokens:
        print(f"{'tokens':>10}{'MLX in use, MB':>18}{'remembered, MB':>18}{'process, MB':>14}")
        for tokens, active, remembered, taken in _chats(options.family, options.tokens):
            print(
                f"{tokens:>10}{active / 1e6:>18.2f}{remembered / 1e6:>18.2f}{taken / 1e6:>14.1f}", flush=True
            )
        return
    print(f"{'step':>10}{'state, bytes':>16}{'beside it, bytes':>20}")
    for step, state, beside in _steps(options.family, options.steps, options.rows):
        print(f"{step:>10}{state:>16}{beside:>20}", flush=True)


def _steps(family: str, steps: int, rows: int) -> Iterator[tuple[int, int, int]]:
    """Let answers go on; yield now and then the step, the state's bytes and those beside it."""
    import mlx.core as mx

    batch = make_batch(family)
    for row in range(rows):
        ask(batch, words(row, 20), steps + 100)
    for step in range(1, steps + 1):
        batch.step()
        if step % max(64, steps // 640 * 64) == 0:
            mx.synchronize()
            state = int(batch._generator.prompt_cache_nbytes)
            yield step, state, int(mx.get_active_memory()) - state


def _chats(family: str, tokens: int) -> Iterator[tuple[int, int, int, int]]:
    """Hold chats; yield the tokens so far and three figures, after each turn."""
    import mlx.core as mx

    batch = make_batch(family, memory_bytes=_CACHE_BYTES)
    done = turn = 0
    while done < tokens:
        for row in range(_ROWS):
            place = turn // 2 * _ROWS + row
            prompt = _SYSTEM + words(place, 40) + (words(place + 1, 30) if turn % 2 else [])
            length = 60 + (place * 13) % 180
            ask(batch, prompt, length, branches=(len(_SYSTEM), len(_SYSTEM) + 40))
            done += length
        finish(batch)
        turn += 1
        gc.collect()
        mx.synchronize()
        yield done, int(mx.get_active_memory()), batch._memory.n_bytes, psutil.Process().memory_info().rss


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--family", choices=tuple(FAMILIES), default="qwen3_next", help="class of model")
    parser.add_argument("--steps", type=int, default=5000, help="steps of answers that never end")
    parser.add_argument("--rows", type=int, default=1, help="answers side by side")
    parser.add_argument("--tokens", type=int, default=0, help="generate so many tokens in chats instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()

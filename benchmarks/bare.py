"""mlx-lm's generator without a server, and ours around it: `python -m benchmarks.bare MODEL`.

Reads lines of JSON, `{"who": "bare" | "ours", "rows": 16, "tokens": 256, "mark": 3}`, and answers each with
the tokens per second, as a line. A `mark` makes prompts that no other line has.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PROMPT_TOKENS = (
    48  # of the longest; as long as those that are asked over HTTP, whose lengths differ a little
)
_KEPT_BYTES = 2 << 30  # of freed arrays; a server has the same card at the same time
_MOST = 64


def main() -> None:
    """Load the model and answer until stdin ends."""
    import mlx.core as mx
    from tests.engine.core.loads import load_model

    from local_ai.engine.core.decoding.batch import Batch
    from local_ai.engine.core.job import Job, ModelKey
    from local_ai.engine.core.memory.prompt_cache import PromptCache
    from local_ai.engine.core.residents import spare_compiler

    spare_compiler()
    mx.set_cache_limit(_KEPT_BYTES)
    path = Path(sys.argv[1])
    key = ModelKey(path.name, path)
    loaded = load_model(key, trust_remote_code=False)

    def bare(prompts: list[list[int]], tokens: int) -> None:
        from mlx_lm.generate import BatchGenerator

        generator = BatchGenerator(
            loaded.model, completion_batch_size=len(prompts), stream=mx.default_stream(mx.default_device())
        )
        left = set(generator.insert(prompts, [tokens] * len(prompts)))
        while left:
            left -= {answer.uid for answer in generator.next()[1] if answer.finish_reason}
        generator.close()

    batch: Any = Batch(loaded, PromptCache(2_000_000_000), most=_MOST)

    def ours(prompts: list[list[int]], tokens: int) -> None:
        from local_ai.engine.core.tasks import Request

        for prompt in prompts:
            batch.add(Request(Job(key, tuple(prompt), tokens), lambda _: None))
        while len(batch):
            batch.step()

    runs: dict[str, Callable[[list[list[int]], int], None]] = {"bare": bare, "ours": ours}
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        rows, tokens = asked["rows"], asked["tokens"]
        first = asked["mark"] * 101
        prompts = [
            [3 + (first + row * 37 + place * 11) % 250 for place in range(_PROMPT_TOKENS - row % 3)]
            for row in range(rows)
        ]
        began = time.perf_counter()
        runs[asked["who"]](prompts, tokens)
        print(rows * tokens / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()

"""How soon `/v1/models` answers, at rest and while the same server generates."""

from __future__ import annotations

import statistics

from benchmarks.clock import say, timed
from benchmarks.options import Options
from benchmarks.samples import Samples, What
from benchmarks.servers import GATEWAY, MLX_LM, Server, servers

_AT_REST, _BUSY = "/v1/models at rest", "/v1/models while it generates"
_MEDIAN = {text: What("models", f"{text}, median", "ms", MLX_LM) for text in (_AT_REST, _BUSY)}
_P99 = {text: What("models", f"{text}, 99 of 100 within", "ms", MLX_LM) for text in (_AT_REST, _BUSY)}


def run(samples: Samples, options: Options) -> None:
    """Ask each server in turns; a round brings one median and one 99th percentile."""
    asks = 50 if options.quick else 200
    with servers(options) as (asked, _):
        # The engine lists no models: the gateway does, also while the engine is away.
        by_openai = [server for server in asked if server.name in {MLX_LM, GATEWAY}]
        for number in range(options.rounds):
            for server in by_openai:
                say(f"models {number + 1}/{options.rounds}: {server.name}")
                _add(samples, _AT_REST, server, asks)
                with server.stream("Write a very long story about a fox.", 2000) as lines:
                    next(lines)
                    _add(samples, _BUSY, server, asks)


def _add(samples: Samples, text: str, server: Server, asks: int) -> None:
    took = [1000 * timed(lambda: server.client.get("/v1/models").raise_for_status()) for _ in range(asks)]
    samples.add(_MEDIAN[text], server.name, statistics.median(took))
    samples.add(_P99[text], server.name, statistics.quantiles(took, n=100)[98])

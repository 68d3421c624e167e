"""What the gateway costs, beside asking the engine itself: /v1/models, a short request, a stream, a start.

    uv run python benchmarks/gateway.py [--requests 300] [--json]

Both are measured in one run, interleaved, with a tiny model, in folders of their own. Read the ratios: the
milliseconds are this machine's.
"""

from __future__ import annotations

import argparse
import gzip
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx

from local_ai.gateway.assets import load_assets
from local_ai.render import template_dir
from local_ai.state import State, make_state

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.engine.running import RunningEngine, running_engine
from tests.gateway.running import running_gateway, wait_for_answer
from tests.tiny_model import make_tiny_model

_CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
_STARTS = 5


def main() -> None:
    """Measure and print."""
    options = _options()
    with ExitStack() as stack:
        engine = stack.enter_context(running_engine(lambda folder: _fill(folder, options.models)))
        state = _state_for(engine)
        starts = [_start_s(state) for _ in range(_STARTS)]
        stack.enter_context(running_gateway(state))
        wait_for_answer(_url(state))
        direct = stack.enter_context(engine.client)
        through = stack.enter_context(httpx.Client(base_url=_url(state), timeout=120))
        rows = {
            "GET /v1/models": _both(lambda c: c.get("/v1/models"), direct, through, options.requests),
            "POST chat, 1 token": _both(_chat, direct, through, options.requests // 3),
            "stream, first event": _both(_first_event, direct, through, options.requests // 3),
            "GET /healthz": _both(lambda c: c.get("/healthz"), None, through, options.requests),
            "GET /status.json": _both(lambda c: c.get("/status.json"), None, through, options.requests),
            "GET / (page)": _both(_page, None, through, options.requests),
        }
        page_bytes = len(gzip.compress(_page(through).content))
    _print(rows, starts, page_bytes, as_json=options.json)


def _fill(folder: Path, count: int) -> None:
    first = make_tiny_model(folder / "tiny")
    for number in range(count - 1):
        (folder / f"model-{number}").mkdir()
        for name in ("config.json", "model.safetensors"):
            (folder / f"model-{number}" / name).write_bytes((first / name).read_bytes())


def _state_for(engine: RunningEngine) -> State:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    from local_ai.settings.schema import LocalAISettings

    return make_state(LocalAISettings.model_validate({"server": {"port": port}}), engine.paths)


def _url(state: State) -> str:
    return f"http://127.0.0.1:{state.settings.server.port}"


def _start_s(state: State) -> float:
    began = time.perf_counter()
    with running_gateway(state):
        wait_for_answer(_url(state))
        return time.perf_counter() - began


def _chat(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/chat/completions", json={**_CHAT, "model": "tiny"}).raise_for_status()


def _first_event(client: httpx.Client) -> None:
    body = {**_CHAT, "model": "tiny", "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())


def _page(client: httpx.Client) -> httpx.Response:
    return client.get("/", headers={"Accept": "text/html"})


def _both(
    ask: Callable[[httpx.Client], object], direct: httpx.Client | None, through: httpx.Client, count: int
) -> tuple[list[float], list[float]]:
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        for client, samples in zip((direct, through), took, strict=True):
            if client is None:
                continue
            began = time.perf_counter()
            ask(client)
            samples.append((time.perf_counter() - began) * 1000)
    return took


def _print(
    rows: dict[str, tuple[list[float], list[float]]], starts: list[float], page_bytes: int, *, as_json: bool
) -> None:
    assets = {name: len(asset.compressed) for name, asset in load_assets().items()}
    medians = {name: [_median(samples) for samples in both] for name, both in rows.items()}
    sizes = {"page": page_bytes, **assets, "sum": page_bytes + sum(assets.values())}
    start_s = statistics.median(starts)
    if as_json:
        print(json.dumps({"median_ms": medians, "spawn_to_page_s": start_s, "bytes": sizes}))
        return
    print(f"{'median, ms':24}{'engine':>10}{'gateway':>10}{'p95':>10}")
    for name, (direct, through) in medians.items():
        p95 = statistics.quantiles(rows[name][1], n=20)[-1]
        print(f"{name:24}{_text(direct):>10}{_text(through):>10}{p95:>10.2f}")
    print(f"\nspawn to page: {start_s:.2f} s (median of {len(starts)})")
    print("bytes, compressed: " + ", ".join(f"{name} {size}" for name, size in sizes.items()))
    print(f"templates: {template_dir()}")


def _median(samples: list[float]) -> float | None:
    return statistics.median(samples) if samples else None


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=300, help="requests of each quick kind")
    parser.add_argument("--models", type=int, default=10, help="model folders on the machine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()

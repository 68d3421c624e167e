"""What the gateway adds to its engine's own answers: a tiny model, so that generating hides nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import httpx
from tests.tiny_model import make_tiny_model

from benchmarks.clock import free_port, say, timed
from benchmarks.options import Options
from benchmarks.ours import make_ours, running
from benchmarks.samples import OURS, Samples, What

_ENGINE = "engine alone"
_ASKS = 60
_MODELS_ASKS = 200
_STREAMS, _STREAMED = 10, 200


def run(samples: Samples, options: Options) -> None:
    """Ask engine and gateway in turns, request by request; a round brings one median."""
    model = make_tiny_model(options.folder / "tiny")
    with running(make_ours(options.folder / "gateway", free_port(), model)) as ours:
        transport = httpx.HTTPTransport(uds=str(ours.paths.engine_socket))
        with (
            httpx.Client(transport=transport, base_url="http://engine", timeout=60) as engine,
            httpx.Client(base_url=ours.url, timeout=60) as gateway,
        ):
            for number in range(options.rounds):
                say(f"gateway {number + 1}/{options.rounds}")
                for text, (ask, asks) in _QUESTIONS.items():
                    _measure(samples, text, ask, asks, {_ENGINE: engine, OURS: gateway})


def _measure(samples: Samples, text: str, ask: Ask, asks: int, clients: dict[str, httpx.Client]) -> None:
    took: dict[str, list[float]] = {who: [] for who in clients}
    for _ in range(asks):
        for who, client in clients.items():
            took[who].append(1000 * timed(lambda client=client: ask(client)))  # type: ignore[misc]
    medians = {who: statistics.median(values) for who, values in took.items()}
    for who, value in medians.items():
        samples.add(What("gateway", text, "ms", _ENGINE), who, value)
    samples.add(What("gateway", f"added to {text}", "ms", ""), OURS, medians[OURS] - medians[_ENGINE])


def _models(client: httpx.Client) -> None:
    client.get("/v1/models").raise_for_status()


def _chat(client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json=_body()).raise_for_status()


def _first_event(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/chat/completions", json={**_body(), "stream": True}) as answer:
        next(answer.iter_lines())


def _stream(client: httpx.Client) -> None:
    # Neither of the tokens that would end it.
    body = {**_body(), "stream": True, "max_tokens": _STREAMED, "logit_bias": {"2": -100, "0": -100}}
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        for _ in answer.iter_lines():
            pass


def _body() -> dict[str, object]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}


Ask = Callable[[httpx.Client], None]
_QUESTIONS: dict[str, tuple[Ask, int]] = {
    "/v1/models": (_models, _MODELS_ASKS),
    "a chat of one token": (_chat, _ASKS),
    "a stream's first event": (_first_event, _ASKS),
    f"a stream of {_STREAMED} tokens": (_stream, _STREAMS),
}

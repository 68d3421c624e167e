"""What the gateway adds to its engine's own answers: a tiny model, so that generating hides nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

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
_LONE_ASKS, _LONE_S = 8, 1.1


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
                for question in _QUESTIONS:
                    _measure(samples, question, {_ENGINE: engine, OURS: gateway})


@dataclass(frozen=True)
class _Question:
    text: str
    ask: Callable[[httpx.Client], None]
    asks: int
    pause_s: float = 0.0  # before each
    is_forwarded: bool = True  # the engine can be asked the same


def _measure(samples: Samples, question: _Question, clients: dict[str, httpx.Client]) -> None:
    text = question.text
    if not question.is_forwarded:
        clients = {OURS: clients[OURS]}
    took: dict[str, list[float]] = {who: [] for who in clients}
    for _ in range(question.asks):
        for who, client in clients.items():
            time.sleep(question.pause_s)
            took[who].append(1000 * timed(lambda client=client: question.ask(client)))  # type: ignore[misc]
    medians = {who: statistics.median(values) for who, values in took.items()}
    for who, value in medians.items():
        samples.add(What("gateway", text, "ms", _ENGINE if question.is_forwarded else ""), who, value)
    if question.is_forwarded:
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


_QUESTIONS = (
    _Question("/v1/models", _models, _MODELS_ASKS, is_forwarded=False),
    _Question("a chat of one token", _chat, _ASKS),
    _Question("a chat of one token, a second after the last", _chat, _LONE_ASKS, _LONE_S),
    _Question("a stream's first event", _first_event, _ASKS),
    _Question(f"a stream of {_STREAMED} tokens", _stream, _STREAMS),
)

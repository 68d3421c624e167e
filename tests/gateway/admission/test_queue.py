"""The line in front of the engine: order, bounds, what clients are told meanwhile, and its end."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from tests.gateway.fakes import (
    FakeEngine,
    FakeSupervisord,
    Gateway,
    make_model,
    make_test_state,
    run_engine,
    run_gateway,
)
from tests.server import wait_until
from tests.waits import scaled

from local_ai.gateway.context import make_context
from local_ai.gateway.listener.protocol import BoundedProtocol
from local_ai.settings.state import State

CHAT = "/v1/chat/completions"
T = TypeVar("T")


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = make_test_state(tmp_path, gateway={"max_concurrency": 1, "max_queue": 2, "wait_for_engine_s": 5})
    make_model(state.paths.models_dir / "tiny")
    return state


@pytest.fixture
def engine(state: State) -> Iterator[FakeEngine]:
    with run_engine(FakeEngine(), state.paths.engine_socket) as engine:
        yield engine
        engine.release.set()


@pytest.fixture
def gateway(state: State, engine: FakeEngine) -> Iterator[Gateway]:
    context = make_context(state)
    context = replace(context, forwarding=replace(context.forwarding, comment_s=0.1))
    with run_gateway(state, context=context) as gateway:
        yield gateway
        engine.release.set()


@pytest.fixture
def ask(gateway: Gateway, engine: FakeEngine) -> Iterator[Callable[..., Future[httpx.Response]]]:
    """Send a request from a thread of its own."""
    with ThreadPoolExecutor(16) as pool:

        def send(model: str = "slow", *, path: str = CHAT, **body: Any) -> Future[httpx.Response]:
            asked = {"model": model, **body}
            return pool.submit(httpx.post, gateway.url + path, json=asked, timeout=scaled(30))

        yield send
        engine.release.set()


def queue_of(gateway: Gateway) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{gateway.url}/queue.json").json()
    return found


def test_requests_beyond_the_bound_wait_in_order(
    gateway: Gateway, engine: FakeEngine, ask: Callable[..., Future[httpx.Response]]
) -> None:
    answers = []
    for number in range(3):
        answers.append(ask(number=number))
        wait_until(lambda so_many=number + 1: len(queue_of(gateway)["requests"]) == so_many)

    queue = wait_until(lambda: (found := queue_of(gateway))["running"] == 1 and found)

    assert (queue["waiting"], queue["max_concurrency"], queue["max_queue"]) == (2, 1, 2)
    shown = [(one["state"], one["position"], one["model"], one["path"]) for one in queue["requests"]]
    assert shown == [
        ("running", None, "slow", CHAT),
        ("waiting", 1, "slow", CHAT),
        ("waiting", 2, "slow", CHAT),
    ]
    engine.release.set()
    assert [answer.result().status_code for answer in answers] == [200, 200, 200]
    assert [request["number"] for request in engine.requests] == [0, 1, 2]


def test_requests_beyond_the_queue_are_told_when_to_come_back(
    gateway: Gateway, ask: Callable[..., Future[httpx.Response]]
) -> None:
    for so_many in (1, 2, 3):
        ask()
        wait_until(lambda so_many=so_many: len(queue_of(gateway)["requests"]) == so_many)

    answer = ask().result()

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"] == {
        "message": "the queue is full: 2 requests are waiting already (gateway.max_queue). To fix it: "
        "try again in a moment, send fewer at once, or raise gateway.max_queue in config.toml",
        "type": "rate_limit_error",
        "param": None,
        "code": "queue_full",
    }


def test_waiting_stream_hears_its_place(
    gateway: Gateway, engine: FakeEngine, ask: Callable[..., Future[httpx.Response]]
) -> None:
    ask()
    wait_until(lambda: queue_of(gateway)["running"] == 1)
    body = {"model": "stream", "stream": True}

    with httpx.stream("POST", gateway.url + CHAT, json=body, timeout=scaled(30)) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": waiting, position 1 of 1"
        engine.release.set()
        said = [line for line in lines if line.startswith("data")]

    assert said == ["data: one", "data: two", "data: [DONE]"]


def test_client_that_leaves_the_queue_is_taken_out_and_never_asked_for(
    gateway: Gateway, engine: FakeEngine, ask: Callable[..., Future[httpx.Response]]
) -> None:
    ask()
    wait_until(lambda: queue_of(gateway)["running"] == 1)
    with contextlib.suppress(httpx.ReadTimeout):
        httpx.post(gateway.url + CHAT, json={"model": "slow"}, timeout=0.3)

    wait_until(lambda: queue_of(gateway)["waiting"] == 0)

    engine.release.set()
    assert ask("plain").result().status_code == 200
    assert [request["model"] for request in engine.requests] == ["slow", "plain"]


def test_client_that_leaves_its_answer_makes_room_for_the_next(
    gateway: Gateway, engine: FakeEngine, ask: Callable[..., Future[httpx.Response]]
) -> None:
    with contextlib.suppress(httpx.ReadTimeout):
        httpx.post(gateway.url + CHAT, json={"model": "slow"}, timeout=0.3)

    assert ask("plain").result().status_code == 200


def test_counting_tokens_does_not_wait_behind_answers(
    gateway: Gateway, ask: Callable[..., Future[httpx.Response]]
) -> None:
    ask()
    wait_until(lambda: queue_of(gateway)["running"] == 1)

    answer = ask("plain", path="/anthropic/v1/messages/count_tokens")

    assert answer.result().status_code == 200


def test_status_counts_the_queue(
    state: State, gateway: Gateway, engine: FakeEngine, ask: Callable[..., Future[httpx.Response]]
) -> None:
    engine.state = "busy"
    ask(), ask()
    wait_until(lambda: queue_of(gateway)["waiting"] == 1)

    with FakeSupervisord(state.paths.supervisor_socket).run():
        sentence = wait_until(lambda: (found := verdict(gateway)).startswith("Busy") and found)

    assert sentence == "Busy: 1 answer running, 1 waiting"


def test_closed_gateway_finishes_what_runs_and_refuses_the_rest_until_it_opens_again(
    gateway: Gateway, engine: FakeEngine, ask: Callable[..., Future[httpx.Response]]
) -> None:
    runs = ask()
    wait_until(lambda: queue_of(gateway)["running"] == 1)
    waits = ask()
    wait_until(lambda: queue_of(gateway)["waiting"] == 1)

    in_gateway(gateway, lambda: gateway.context.forwarding.shutdown.close(reopen_after_s=60))

    assert (waits.result().status_code, waits.result().json()["error"]["code"]) == (503, "stopping")
    assert (ask().result().status_code, httpx.get(f"{gateway.url}/readyz").status_code) == (503, 503)
    engine.release.set()
    assert runs.result().status_code == 200
    in_gateway(gateway, lambda: gateway.context.forwarding.shutdown.close(reopen_after_s=0))
    assert wait_until(lambda: ask("plain").result().status_code == 200)


def verdict(gateway: Gateway) -> str:
    return str(httpx.get(f"{gateway.url}/status.json").json()["verdict"]["sentence"])


def in_gateway(gateway: Gateway, act: Callable[[], T]) -> None:
    """Run something on the gateway's own loop, where its signals are handled."""
    done = threading.Event()
    gateway.loop.call_soon_threadsafe(lambda: (act(), done.set()))
    assert done.wait(10)


def test_client_that_takes_nothing_of_its_answer_makes_room_for_the_next(
    state: State, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "stuck_s", 0.5)
    body = b'{"model": "flood", "stream": true}'
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with (
        run_gateway(state) as gateway,
        socket.create_connection(("127.0.0.1", state.settings.server.port)) as connection,
    ):
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: queue_of(gateway)["running"] == 1)

        assert wait_until(lambda: queue_of(gateway)["running"] == 0)
        assert httpx.post(gateway.url + CHAT, json={"model": "plain"}, timeout=scaled(30)).status_code == 200

"""A request on which the engine ends: found, refused, and no harm to those beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import coroutines
from tests.gateway.fakes import Gateway, MortalEngine, make_patient_state, run_gateway

from local_ai.gateway.admission import quarantine
from local_ai.gateway.admission.quarantine import Suspects
from local_ai.settings.state import State

CHAT = "/v1/chat/completions"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return make_patient_state(tmp_path, wait_s=20)


@pytest.fixture
def engine(state: State) -> Iterator[MortalEngine]:
    with MortalEngine(state.engine_socket).run() as engine:
        yield engine


@pytest.fixture
def gateway(state: State, engine: MortalEngine) -> Iterator[Gateway]:
    with run_gateway(state) as gateway:
        yield gateway


def ask(gateway: Gateway, **body: Any) -> httpx.Response:
    return httpx.post(gateway.url + CHAT, json={"model": "tiny", **body}, timeout=60)


def test_request_that_ends_the_engine_twice_is_not_sent_again(gateway: Gateway, engine: MortalEngine) -> None:
    first, again = ask(gateway, poison=True), ask(gateway, poison=True)

    assert [first.status_code, again.status_code] == [422, 422]
    assert first.json()["error"]["code"] == again.json()["error"]["code"] == "request_ends_engine"
    assert engine.deaths == 2


def test_requests_beside_it_are_all_answered(gateway: Gateway, engine: MortalEngine) -> None:
    engine.hold(6)  # the poison works once all have arrived
    with ThreadPoolExecutor(6) as pool:
        bystanders = [pool.submit(ask, gateway, number=number) for number in range(5)]
        poison = pool.submit(ask, gateway, poison=True)

        assert poison.result().status_code == 422
        assert [bystander.result().status_code for bystander in bystanders] == [200] * 5

    assert engine.deaths <= 3
    assert sorted(engine.answered) == [0, 1, 2, 3, 4]


def test_model_is_marked_until_it_answers(gateway: Gateway) -> None:
    ask(gateway, number=1)
    ask(gateway, poison=True)

    marked = httpx.get(f"{gateway.url}/queue.json").json()["marked_models"]

    assert [(mark["model"], mark["reason"]) for mark in marked] == [
        ("tiny", "the engine ended twice on one of its requests")
    ]
    ask(gateway, number=2)
    assert httpx.get(f"{gateway.url}/queue.json").json()["marked_models"] == []


def test_model_that_never_answered_is_not_tried_on_every_request(
    gateway: Gateway, engine: MortalEngine
) -> None:
    ask(gateway, poison=True)

    answer = ask(gateway, number=1)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "model_ends_engine"
    assert answer.json()["error"]["message"] == (
        "the model is not asked again for now: tiny has answered nothing yet, and the engine ended twice on "
        "one of its requests. To fix it: name another model, or run local-ai server restart to try it again; "
        "why the engine ended is in: local-ai server logs --program mlx-omni-server"
    )
    assert engine.deaths == 2


def test_another_model_is_not_held_to_account() -> None:
    suspects = Suspects()
    suspects.convict(CHAT, b"poison", "bad")

    suspects.check(CHAT, b"other", "good")


def test_suspects_time_alone_begins_when_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before that the engine may have to start and load, which is no fault of the request."""
    monkeypatch.setattr(quarantine, "_ALONE_S", 0)

    async def run() -> list[bool]:
        async with Suspects().alone() as turn:
            before = [await _over_after_a_turn(turn) for _ in range(3)]
            turn.begin()
            return [any(before), await _over_after_a_turn(turn)]

    async def _over_after_a_turn(turn: quarantine.Turn) -> bool:
        for _ in range(2):
            await asyncio.sleep(0)
        return turn.is_over

    assert coroutines.run(run()) == [False, True]

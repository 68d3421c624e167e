"""A request on which the engine ends: found, refused, and no harm to those beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import coroutines
from tests.gateway.fakes import Gateway, MortalEngine, make_patient_state, run_gateway
from tests.waits import scaled

from local_ai.gateway.admission import quarantine
from local_ai.gateway.admission.quarantine import Quarantine
from local_ai.gateway.upstream import engine_exits
from local_ai.settings.state import State
from local_ai.supervision.program import SUPERVISORD

CHAT = "/v1/chat/completions"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return make_patient_state(tmp_path, wait_s=20)


@pytest.fixture
def engine(state: State) -> Iterator[MortalEngine]:
    with MortalEngine(state.paths.engine_socket).run() as engine:
        yield engine


@pytest.fixture
def gateway(state: State, engine: MortalEngine) -> Iterator[Gateway]:
    with run_gateway(state) as gateway:
        yield gateway


def ask(gateway: Gateway, **body: Any) -> httpx.Response:
    return httpx.post(gateway.url + CHAT, json={"model": "tiny", **body}, timeout=scaled(60))


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
        "the model is not used for now: tiny has answered nothing yet, and the engine ended twice on "
        "one of its requests. To fix it: name another model, or run local-ai server restart to try it again; "
        "why the engine ended is in: local-ai server logs --program mlx-omni-server"
    )
    assert engine.deaths == 2


def test_another_model_is_not_held_to_account() -> None:
    quarantine = Quarantine()
    quarantine.isolate(CHAT, b"poison", "bad")

    quarantine.check(CHAT, b"other", "good")


def test_suspects_time_alone_begins_when_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before that the engine may have to start and load, which is no fault of the request."""
    monkeypatch.setattr(quarantine, "_ALONE_S", 0)

    async def run() -> list[bool]:
        known = Quarantine()
        async with known.turn() as turn:
            await asyncio.sleep(0.01)
            before = known.holds_others
            turn.begin()
            await asyncio.wait_for(known.until_no_suspect(), 10)
            return [before, known.holds_others]

    assert coroutines.run(run()) == [True, False]


def test_suspects_are_tried_one_after_the_other_and_hold_all_others() -> None:
    async def run() -> list[str]:
        known, happened = Quarantine(), list[str]()

        async def suspect(name: str) -> None:
            async with known.turn():
                happened.append(f"{name} begins")
                await asyncio.sleep(0)
                happened.append(f"{name} ends")

        async def other() -> None:
            await known.until_no_suspect()
            happened.append("other")

        first, second = asyncio.create_task(suspect("first")), asyncio.create_task(suspect("second"))
        await asyncio.sleep(0)
        await asyncio.gather(other(), first, second)
        return happened

    assert coroutines.run(run()) == ["first begins", "first ends", "second begins", "second ends", "other"]


def test_suspect_that_leaves_before_its_turn_holds_nothing() -> None:
    async def run() -> bool:
        known = Quarantine()

        async def wait() -> None:
            async with known.turn():
                pass

        async with known.turn():
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return known.holds_others

    assert coroutines.run(run()) is False


def test_request_is_alone_as_long_as_no_other_joins_it() -> None:
    known = Quarantine()

    with known.flight() as first:
        before = first.is_alone
        with known.flight() as second:
            both = (first.is_alone, second.is_alone)
        after = first.is_alone

    assert (before, both, after) == (True, (False, False), False)
    with known.flight() as later:
        assert later.is_alone


def end_engine(state: State, reason: str) -> None:
    """Write what supervisord does when the engine has ended."""
    moment = datetime.now().strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    log = state.paths.log(SUPERVISORD)
    with log.open("a") as out:
        out.write(f"{moment} WARN exited: mlx-omni-server ({reason}; not expected)\n")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("terminated by SIGKILL", 200),
        ("terminated by SIGTERM", 200),
        ("terminated by SIGUSR1", 200),
        ("exit status 143", 200),
        ("terminated by SIGSEGV", 422),
        ("exit status 1", 422),
    ],
)
def test_only_a_crash_convicts_a_request(
    gateway: Gateway, engine: MortalEngine, state: State, reason: str, status: int
) -> None:
    """An engine that is killed from outside again and again ends on whatever it has."""
    engine.on_death = lambda: end_engine(state, reason)
    engine.most_deaths = 5

    answer = ask(gateway, poison=True)

    assert answer.status_code == status
    assert httpx.get(f"{gateway.url}/queue.json").json()["marked_models"] == [] or status == 422


def test_kill_by_the_system_for_want_of_memory_is_a_crash(
    gateway: Gateway, engine: MortalEngine, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = tmp_path / "vmstat"
    counts.write_text("nr_free_pages 1\noom_kill 0\n")
    monkeypatch.setattr(engine_exits, "_VMSTAT", counts)

    def die() -> None:
        counts.write_text(f"nr_free_pages 1\noom_kill {engine.deaths}\n")
        end_engine(state, "terminated by SIGKILL")

    engine.on_death = die

    assert ask(gateway, poison=True).status_code == 422


def test_request_is_not_convicted_where_supervisord_does_not_say_how_the_engine_ended(
    gateway: Gateway, engine: MortalEngine, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_exits, "_PAUSES_S", (0.0,))
    state.paths.log(SUPERVISORD).touch()
    engine.most_deaths = 3

    assert ask(gateway, poison=True).status_code == 200


def test_request_that_was_near_a_poison_request_is_not_convicted(
    gateway: Gateway, engine: MortalEngine
) -> None:
    """Poison that comes while a suspect is tried has to wait until it has been."""
    engine.hold(2)
    with ThreadPoolExecutor(8) as pool:
        near = pool.submit(ask, gateway, number=1)
        poisons = [pool.submit(ask, gateway, poison=True, number=number) for number in range(2, 5)]

        assert near.result().status_code == 200
        assert {poison.result().status_code for poison in poisons} <= {422, 503}

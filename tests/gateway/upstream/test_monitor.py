"""When a request is sent to the engine without a look at it first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from tests import coroutines
from tests.gateway.fakes import make_patient_state

from local_ai.gateway.upstream import monitor as watching
from local_ai.gateway.upstream.client import Look, Upstream
from local_ai.gateway.upstream.monitor import Watch
from local_ai.status.health import EngineHealth, Queue


def engine(state: str) -> Look:
    health = EngineHealth(state=state, since=0, model=None, running=0, waiting=0, text="mlx-lm", reason=None)
    return Look(listens=True, health=health)


SILENT = Look(listens=True)


@dataclass
class FakeUpstream:
    """An engine that is as the test says."""

    seen: Look = field(default_factory=lambda: engine("ready"))
    looks: int = 0

    async def look(self) -> Look:
        self.looks += 1
        return self.seen


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
def watch(upstream: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """One for which every look was long ago."""
    for name in ("_TRUST_S", "_MEANWHILE_S", "_LOOK_AGE_S"):
        monkeypatch.setattr(watching, name, 0)
    queue = Queue(running=0, waiting=0, max_concurrency=1, max_queue=1, longest_wait_s=0)
    return Watch(make_patient_state(tmp_path, wait_s=5), cast(Upstream, upstream), lambda: queue)


async def seen_again(upstream: FakeUpstream, looks: int) -> None:
    async with asyncio.timeout(10):
        while upstream.looks < looks:
            await asyncio.sleep(0)
    for _ in range(10):  # until who asked has heard of it
        await asyncio.sleep(0)


async def held_and_fine(watch: Watch) -> None:
    watch.engine_is_held()
    await watch.look()


def test_engine_that_was_fine_and_has_not_ended_is_trusted_and_looked_at_meanwhile(
    watch: Watch, upstream: FakeUpstream
) -> None:
    async def run() -> None:
        await held_and_fine(watch)

        assert watch.trusts_engine()
        assert upstream.looks == 1
        await seen_again(upstream, 2)
        assert watch.trusts_engine()

    coroutines.run(run())


def test_engine_that_began_to_load_is_trusted_once_more_at_most(watch: Watch, upstream: FakeUpstream) -> None:
    async def run() -> None:
        await held_and_fine(watch)
        upstream.seen = engine("loading")

        assert watch.trusts_engine()
        await seen_again(upstream, 2)
        assert not watch.trusts_engine()

    coroutines.run(run())


def test_an_answer_that_broke_off_costs_one_look(watch: Watch) -> None:
    async def run() -> None:
        await held_and_fine(watch)
        watch.engine_is_gone()

        assert not watch.trusts_engine()
        await watch.look()
        assert watch.trusts_engine()

    coroutines.run(run())


@pytest.mark.parametrize(
    "happens",
    [Watch.engine_is_gone, Watch.engine_is_released, Watch.engine_is_held],
    ids=["connection-lost", "ended", "another-one-is-held"],
)
def test_engine_is_looked_at_after_what_may_be_its_end(
    watch: Watch, happens: Callable[[Watch], None]
) -> None:
    async def run() -> None:
        await held_and_fine(watch)
        happens(watch)

        assert not watch.trusts_engine()

    coroutines.run(run())


def test_engine_whose_end_would_not_be_noticed_is_looked_at(watch: Watch) -> None:
    async def run() -> None:
        await watch.look()

        assert not watch.trusts_engine()

    coroutines.run(run())


def test_engine_that_is_silent_may_be_busy_and_is_looked_at(watch: Watch, upstream: FakeUpstream) -> None:
    async def run() -> None:
        upstream.seen = SILENT
        await held_and_fine(watch)

        assert not watch.trusts_engine()

    coroutines.run(run())


def test_look_at_an_engine_that_ended_meanwhile_is_worth_nothing(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        monkeypatch.setattr(watching, "_TRUST_S", 60)
        looking = asyncio.create_task(watch.look())
        await asyncio.sleep(0)
        watch.engine_is_gone()
        await looking

        assert not watch.trusts_engine()

    coroutines.run(run())

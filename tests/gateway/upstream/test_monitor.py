"""When a request is sent to the engine without a probe first, and a report made without its answer."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from tests import coroutines
from tests.gateway.fakes import NO_PID, FakeSupervisord, make_patient_state

from local_ai.gateway.upstream import monitor
from local_ai.gateway.upstream.client import EngineProbe, Upstream
from local_ai.gateway.upstream.monitor import Monitor
from local_ai.status import observe
from local_ai.status.health import EngineHealth, EngineState, Queue


def engine(state: str, max_batch: int | None = None) -> EngineProbe:
    health = EngineHealth(
        EngineState(state), since=0, model=None, running=0, waiting=0, text="mlx-lm", max_batch=max_batch
    )
    return EngineProbe(listens=True, health=health)


SILENT = EngineProbe(listens=True)


@dataclass
class FakeUpstream:
    """An engine that is as the test says."""

    seen: EngineProbe = field(default_factory=lambda: engine("ready"))
    looks: int = 0

    async def look(self) -> EngineProbe:
        self.looks += 1
        return self.seen


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
def watch(upstream: FakeUpstream, tmp_path: Path) -> Monitor:
    queue = Queue(running=0, waiting=0, max_concurrency=1, max_queue=1, longest_wait_s=0)
    return Monitor(make_patient_state(tmp_path, wait_s=5), cast(Upstream, upstream), lambda: queue)


@pytest.mark.parametrize(
    ("seen", "trusts"),
    [
        (engine("ready"), True),
        (SILENT, True),
        (engine("loading"), False),
        (EngineProbe(listens=False), False),
    ],
    ids=["ready", "silent and so busy", "loading", "absent"],
)
def test_probe_that_went_well_counts_for_a_while(
    watch: Monitor, upstream: FakeUpstream, seen: EngineProbe, trusts: bool
) -> None:
    upstream.seen = seen
    before = watch.trusts_engine()

    coroutines.run(watch.look())

    assert (before, watch.trusts_engine()) == (False, trusts)


def test_engine_is_probed_again_after_a_while(watch: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "_TRUST_S", 0)

    coroutines.run(watch.look())

    assert not watch.trusts_engine()


def test_engine_that_ended_is_not_trusted(watch: Monitor) -> None:
    coroutines.run(watch.look())

    watch.engine_is_gone()

    assert not watch.trusts_engine()


def test_probe_of_an_engine_that_ended_meanwhile_counts_for_nothing(watch: Monitor) -> None:
    async def run() -> None:
        looking = asyncio.create_task(watch.look())
        await asyncio.sleep(0)
        watch.engine_is_gone()
        await looking

    coroutines.run(run())

    assert not watch.trusts_engine()


def test_monitor_tells_how_many_answers_the_engine_generates_at_once_whenever_that_changes(
    watch: Monitor, upstream: FakeUpstream
) -> None:
    told: list[int] = []
    watch.on_batch(told.append)

    for seen in (
        engine("loading"),
        engine("ready", 64),
        engine("ready", 64),
        engine("ready"),
        engine("ready", 8),
    ):
        upstream.seen = seen
        watch.engine_is_gone()  # so that it looks anew
        coroutines.run(watch.look())

    assert told == [64, 8]


def test_report_is_made_without_engines_that_have_just_begun_and_do_not_answer_yet(
    watch: Monitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "PATIENCE_S", 3600)
    paths = make_patient_state(tmp_path / "other", wait_s=5).paths.in_state_dir(tmp_path / "state")
    paths.engine_pid.write_text(str(NO_PID))

    supervisord = FakeSupervisord(paths.supervisor_socket)
    supervisord.states["omni"], supervisord.started = "STARTING", time.time()

    with supervisord.run(), ExitStack() as open_sockets:
        for path in (paths.engine_socket, paths.omni_socket):
            silent = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
            silent.bind(str(path))
            silent.listen()
        report = coroutines.run(watch.report())

    assert (report.engine, [row.name for row in report.programs][-1]) == (None, "omni")

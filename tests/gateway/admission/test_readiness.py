"""When requests wait for the engine, and when that is no use."""

from pathlib import Path

import pytest

from local_ai.gateway.admission.readiness import unrecoverable
from local_ai.gateway.upstream.client import EngineProbe
from local_ai.status.health import EngineHealth, EngineState
from local_ai.status.report import ProgramStatus, Report
from local_ai.status.verdict import Health, Readiness, Verdict
from local_ai.supervision.program import ProcessState


def health(state: str) -> EngineHealth:
    return EngineHealth(EngineState(state), since=0, model=None, running=0, waiting=0, text="mlx-lm")


def report(
    state: ProcessState,
    *,
    engine: EngineHealth | None = None,
    readiness: Readiness = Readiness.UNHEALTHY,
) -> Report:
    row = ProgramStatus(
        name="mlx-omni-server",
        state=state,
        readiness=readiness,
        detail="",
        pid=None,
        uptime_s=None,
        restarts=0,
        memory_bytes=None,
        log=Path("/log"),
    )
    return Report(
        verdict=Verdict(Health.UNHEALTHY, "Failed", "x", fix="local-ai server start"),
        programs=(row,),
        engine=engine,
        host="127.0.0.1",
        port=8080,
        pid=1,
        uptime_s=None,
        models=(),
        default_model=None,
        version="1",
    )


@pytest.mark.parametrize(
    ("look", "can_answer"),
    [
        (EngineProbe(listens=False), False),
        (EngineProbe(listens=True), True),
        (EngineProbe(listens=True, health=health("ready")), True),
        (EngineProbe(listens=True, health=health("busy")), True),
        (EngineProbe(listens=True, health=health("importing")), False),
        (EngineProbe(listens=True, health=health("loading")), False),
        (EngineProbe(listens=True, health=health("failed")), True),
    ],
    ids=["absent", "silent", "ready", "busy", "importing", "loading", "failed"],
)
def test_engine_that_listens_but_is_silent_counts_as_busy(look: EngineProbe, can_answer: bool) -> None:
    assert look.can_answer is can_answer


@pytest.mark.parametrize("state", [ProcessState.STARTING, ProcessState.RUNNING, ProcessState.BACKOFF])
def test_waiting_may_help_while_the_engine_is_coming(state: ProcessState) -> None:
    assert unrecoverable(report(state), waited_s=60) is None


def test_crashed_engine_that_is_being_restarted_is_waited_for() -> None:
    assert unrecoverable(report(ProcessState.EXITED, readiness=Readiness.STARTING), waited_s=60) is None


def test_stopped_engine_gets_a_moment_to_be_restarted_by_hand() -> None:
    stopped = report(ProcessState.STOPPED, readiness=Readiness.STOPPED)

    assert unrecoverable(stopped, waited_s=0.5) is None
    refusal = unrecoverable(stopped, waited_s=5)
    assert refusal is not None
    assert refusal.sentence == (
        "the engine cannot answer: it is STOPPED, and it is not restarted by itself. "
        "To fix it: local-ai server start"
    )
    assert refusal.headers == {"Retry-After": "30"}


@pytest.mark.parametrize("state", [ProcessState.FATAL, ProcessState.EXITED])
def test_engine_that_failed_for_good_is_hopeless_at_once(state: ProcessState) -> None:
    assert unrecoverable(report(state), waited_s=0)

"""What ends the wait for a start, and what it waits out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_ai.errors import ServerError
from local_ai.lifecycle.start import wait_until_ready
from local_ai.settings.paths import Paths, find_paths
from local_ai.status.health import EngineHealth, EngineState
from local_ai.status.judge import judge
from local_ai.status.report import Facts, Report, Supervisor
from local_ai.supervision.program import ENGINE, GATEWAY, ProcessInfo, ProcessState

READY = EngineHealth(EngineState.READY, 990.0, "m", 0, 0, "mlx-lm", None)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths().in_state_dir(tmp_path)


def report(engine: ProcessState, *, exit_status: int = 0) -> Report:
    ready = engine is ProcessState.RUNNING
    return judge(
        Facts(
            now=1000.0,
            supervisor=Supervisor.ANSWERS,
            supervisor_pid=10,
            processes=(
                ProcessInfo(ENGINE, engine, 11, 999.0, exit_status, ""),
                ProcessInfo(GATEWAY, ProcessState.RUNNING, 12, 999.0, 0, ""),
            ),
            gateway_answers=True,
            engine=READY if ready else None,
            crashes={},
            exit_reasons={},
            given_up=frozenset(),
            memory_bytes={},
            host="127.0.0.1",
            port=8080,
            models=("m",),
            default_model="m",
            logs_dir=Path("/logs"),
            version="1",
        )
    )


def looks(*seen: Report) -> Callable[[], Report]:
    """Each look in turn; the last one stays."""
    left: Iterator[Report] = iter(seen)
    return lambda: next(left, seen[-1])


def wait(look: Callable[[], Report], paths: Paths) -> Report:
    return wait_until_ready(look, paths, lambda sentence: None, timeout_s=5)


@pytest.mark.parametrize(
    "passing",
    [
        report(ProcessState.EXITED, exit_status=-1),
        report(ProcessState.BACKOFF),
        report(ProcessState.STOPPED),
    ],
    ids=["killed, not restarted yet", "in its back-off", "restarted by hand"],
)
def test_start_goes_on_when_a_program_is_on_its_way_back(passing: Report, paths: Paths):
    assert wait(looks(passing, report(ProcessState.RUNNING)), paths).is_ready


def test_start_is_over_when_a_program_ended_for_a_reason_that_no_restart_mends(paths: Paths):
    with pytest.raises(ServerError, match="the engine did not start"):
        wait(looks(report(ProcessState.EXITED, exit_status=78), report(ProcessState.RUNNING)), paths)


def test_start_is_over_when_a_program_stays_stopped(paths: Paths):
    with pytest.raises(ServerError, match="the server did not start") as raised:
        wait(looks(report(ProcessState.STOPPED)), paths)
    assert raised.value.why == "it was stopped while it was starting"

"""The steps of a start that take time: choosing the model, and the wait until it answers."""

import subprocess
import time
from collections.abc import Callable

from local_ai.errors import HealthCheckError, LocalAIError, ServerError
from local_ai.lifecycle.ports import check_port
from local_ai.models.catalog import STARTER_ID
from local_ai.models.library import read_library
from local_ai.settings.paths import Paths
from local_ai.settings.state import State
from local_ai.status.health import EngineState
from local_ai.status.probe import await_engine
from local_ai.status.report import ProgramStatus, Report
from local_ai.status.verdict import Health, Readiness
from local_ai.supervision.log_files import tail
from local_ai.supervision.program import ENGINE, GATEWAY, STOPPED_S, SUPERVISORD, ProcessState

# Each look costs some milliseconds of a processor that the programs want for their imports.
_POLL_S = 0.1
_LOOK_AGAIN_S = 0.5  # while the engine says that it is on its way
_ON_ITS_WAY = {EngineState.IMPORTING, EngineState.LOADING}
_LOG_LINES = 5
_ENDED = {ProcessState.FATAL, ProcessState.EXITED, ProcessState.STOPPED}

Progress = Callable[[str], None]


def check_port_of(state: State) -> None:
    """Make sure the gateway's port is free; raises as `check_port` does."""
    server = state.settings.server
    check_port(server.host, server.port, state_dir=state.paths.state_dir)


def prepare_model(state: State, on_progress: Progress) -> str | None:
    """Choose the default model, made on the spot where it is the starter model and not there yet.

    Returns:
        Its id; None if `model.path` names a model that is not there.
    """
    configured = state.settings.model.path
    wanted = read_library(state.paths, configured=configured).default
    if wanted is not None or configured not in {None, STARTER_ID}:
        return wanted.id if wanted else None
    from local_ai.models.starter import prepare_starter

    def say(step: str, share: float) -> None:
        on_progress(f"Preparing the starter model {STARTER_ID}: {step}, {share:.0%}")

    prepare_starter(state.paths.models_dir, say)
    return STARTER_ID


def wait_until_ready(
    look: Callable[[], Report],
    paths: Paths,
    on_progress: Progress,
    *,
    timeout_s: float,
    child: subprocess.Popen[str] | None = None,
) -> Report:
    """Look until the server is ready, telling each new sentence.

    Args:
        child: supervisord, where it runs in the foreground and is still to come up.

    Raises:
        ServerError: A program gave up.
        StoppedMeanwhileError: The server was stopped, or its supervisord ended.
        HealthCheckError: Not ready within `timeout_s`; it continues to start.
    """
    began = seen_running = time.monotonic()
    while True:
        report, now = look(), time.monotonic()
        if report.is_ready:
            return report
        if not any(row.state is ProcessState.STOPPED for row in report.programs):
            seen_running = now
        _raise_if_over(report, paths, child, stopped_s=now - seen_running)
        if report.is_running:
            on_progress(report.verdict.sentence)
        if now > began + timeout_s:
            raise _not_ready_in_time(report, paths, timeout_s)
        _wait_for_news(report, paths)


def _wait_for_news(report: Report, paths: Paths) -> None:
    """Until the engine has got further, where it can be asked; a moment otherwise."""
    began = time.monotonic()
    if report.engine is not None and report.engine.state in _ON_ITS_WAY:
        health = await_engine(paths.engine_socket, report.engine.state, within_s=_LOOK_AGAIN_S)
        if health is not None and health.state != report.engine.state:
            return
    time.sleep(max(0.0, began + _POLL_S - time.monotonic()))


def _raise_if_over(
    report: Report, paths: Paths, child: subprocess.Popen[str] | None, *, stopped_s: float
) -> None:
    if report.verdict.health is Health.STOPPED and (child is None or child.poll() is not None):
        raise _stopped_meanwhile(paths)
    for row in report.programs:
        if row.readiness is Readiness.UNHEALTHY and row.state in _ENDED:
            raise _gave_up(row, report, paths)
    if stopped_s >= STOPPED_S:
        raise _stopped_meanwhile(paths)
    if report.engine is not None and report.engine.state is EngineState.FAILED:
        failure = report.engine.failure
        raise ServerError(
            "the server runs, but the engine cannot serve its model",
            why=failure.cause if failure else "it does not say why",
            fix=failure.fix if failure else "choose another one with: local-ai models use NAME, then run",
            command=failure.command if failure else "local-ai server restart",
            see=str(paths.log(ENGINE)),
        )


class StoppedMeanwhileError(ServerError):
    """The server was stopped, from elsewhere, before it was ready."""


def _stopped_meanwhile(paths: Paths) -> StoppedMeanwhileError:
    return StoppedMeanwhileError(
        "the server did not start",
        why="it was stopped while it was starting",
        command="local-ai server start",
        see=str(paths.log(SUPERVISORD)),
    )


def _gave_up(row: ProgramStatus, report: Report, paths: Paths) -> LocalAIError:
    if row.name == GATEWAY:
        try:
            check_port(report.host, report.port, state_dir=paths.state_dir)
        except LocalAIError as taken:
            return taken
    role = "engine" if row.name == ENGINE else "gateway"
    return ServerError(
        f"the {role} did not start",
        why=_with_log(row.detail or "it ended and gave no reason", row, paths),
        fix="fix the fault that the log names, then run",
        command="local-ai server start",
        see=str(row.log),
    )


def _not_ready_in_time(report: Report, paths: Paths, timeout_s: float) -> HealthCheckError:
    engine = next((row for row in report.programs if row.name == ENGINE), None)
    why = f"{report.verdict.sentence[:1].lower()}{report.verdict.sentence[1:]}"
    return HealthCheckError(
        f"the server was not ready after {timeout_s:g} s; it continues to start in the background",
        why=_with_log(why, engine, paths) if engine else why,
        fix="follow it with: local-ai server status, or allow more time",
        command="local-ai server start --timeout 300",
        see=str(paths.log(ENGINE)),
        exit_code=1,
    )


def _with_log(why: str, row: ProgramStatus, paths: Paths) -> list[str]:
    lines = [line for line in tail(paths.log(row.name), lines=_LOG_LINES) if line.strip()]
    return [why, *(["its last log lines:"] if lines else []), *(f"  {line}" for line in lines)]

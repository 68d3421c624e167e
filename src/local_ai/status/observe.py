"""Look at everything once: supervisord, the programs, the models. Bounded time, changes nothing."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_ai.models.library import read_library
from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths
from local_ai.settings.state import Target
from local_ai.status.health import Queue
from local_ai.status.judge import judge
from local_ai.status.probe import PATIENCE_S, probe_engine, probe_gateway
from local_ai.status.report import Facts, Report, Supervisor
from local_ai.supervision.crashes import Crashes, awaited_host, explain_crash, read_crashes
from local_ai.supervision.log_files import tail
from local_ai.supervision.program import ENGINE, OMNI, SUPERVISORD, ProcessInfo
from local_ai.supervision.rpc import SupervisorClient, SupervisorError, SupervisorFault, SupervisorUnreachable

_YOUNG_S = 3.0  # from when its process began
# Of a program's log, searched for why it ended.
_REASON_LINES = 30


def observe(
    target: Target, paths: Paths, *, queue: Queue | None = None, young_engine_s: float = PATIENCE_S
) -> Report:
    """Gather the facts and judge them; takes at most about 5 s, even if a program hangs.

    Args:
        queue: Given by the gateway itself, which need not ask itself.
        young_engine_s: Longest wait for the answer of an engine, or of the program `omni`, whose process has
            just begun, in seconds: it listens, and imports for a second or two before it answers.
    """
    answer = _ask_supervisor(paths)
    if answer.supervisor is not Supervisor.ABSENT:
        paths = target.at(paths)
    up = answer.supervisor is Supervisor.ANSWERS
    if queue is None and up:
        queue = probe_gateway(target.host, target.port)
    exits = read_crashes(paths.log(SUPERVISORD), max_crashes=target.max_crashes) if up else {}
    library = read_library(
        paths.with_model_folders(target.model_folders),
        configured=target.model_path,
        settled=target.default_model,
    )
    began, now = _modified(paths.engine_pid), time.time()

    def patience_s(began: float | None) -> float:
        return young_engine_s if began is None or now - began < _YOUNG_S else PATIENCE_S

    engine = probe_engine(paths.engine_socket, patience_s=patience_s(began)) if up else None
    omni = next((each for each in answer.processes if each.name == OMNI), None)
    return judge(
        Facts(
            now=now,
            supervisor=answer.supervisor,
            supervisor_pid=answer.pid,
            processes=answer.processes,
            gateway_answers=queue is not None,
            engine=engine,
            omni=probe_engine(paths.omni_socket, patience_s=patience_s(omni.started)) if omni else None,
            crashes={name: ended.count for name, ended in exits.items()},
            exit_reasons={name: _explain(name, ended, paths) for name, ended in exits.items()},
            given_up=frozenset(name for name, ended in exits.items() if ended.was_given_up),
            paused=frozenset(name for name, pid in _pids_of(answer) if _is_paused(pid)),
            memory_bytes={info.name: _memory_of(info.pid) for info in answer.processes if info.pid},
            host=target.host,
            port=target.port,
            models=tuple(model.id for model in library.models),
            default_model=library.default.id if library.default else None,
            logs_dir=paths.logs_dir,
            version=target.version,
            queue=queue,
            engine_began=began,
            awaited_host="" if engine else awaited_host(tail(paths.log(ENGINE), lines=1)),
        )
    )


@dataclass(frozen=True)
class _SupervisorAnswer:
    supervisor: Supervisor
    pid: int | None = None
    processes: tuple[ProcessInfo, ...] = ()


def _ask_supervisor(paths: Paths) -> _SupervisorAnswer:
    client = SupervisorClient(paths.supervisor_socket)
    try:
        pid, processes = client.pid_and_processes()
        return _SupervisorAnswer(Supervisor.ANSWERS, pid, tuple(processes))
    except SupervisorUnreachable:
        return _SupervisorAnswer(Supervisor.ABSENT)
    except SupervisorError as exc:
        ends = isinstance(exc, SupervisorFault) and exc.is_ending
        return _SupervisorAnswer(
            Supervisor.ENDING if ends else Supervisor.SILENT, _pid_in(paths.supervisord_pid)
        )


def _explain(name: str, ended: Crashes, paths: Paths) -> str:
    return explain_crash(ended.reason, tail(paths.log(name), lines=_REASON_LINES))


def _pids_of(answer: _SupervisorAnswer) -> Iterator[tuple[str, int]]:
    yield from ((info.name, info.pid) for info in answer.processes if info.pid)
    if answer.pid and answer.supervisor is Supervisor.SILENT:
        yield SUPERVISORD, answer.pid


def _is_paused(pid: int) -> bool:
    """Tell whether a stop signal holds a process: SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU."""
    import psutil  # 10 ms, for which the gateway's first answer does not wait

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _memory_of(pid: int) -> int | None:
    """Return a process's resident memory in bytes; None for one that has ended, or is another user's."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def _modified(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _pid_in(file: Path) -> int | None:
    try:
        return int(read_regular(file))
    except (OSError, ValueError):
        return None

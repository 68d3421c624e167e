"""Facts → verdict: one sentence on how the server is, the same for terminal, page and JSON. Pure.

no supervisord ───────────────▶ stopped
supervisord silent ───────────▶ unknown     (exit 4)
supervisord ending ───────────▶ unknown     "Stopping: …" (exit 4)
gateway closed ───────────────▶ starting    "Stopping: …"
a program FATAL, EXITED ──────▶ unhealthy   "Failed: …"
a program STOPPED ────────────▶ unhealthy   "Stopped by hand: …"
a program not up yet, crashed ▶ starting
engine says ready | busy ─────▶ healthy | busy
a program up, but silent ─────▶ starting while young, then unhealthy
a program that is paused ─────▶ unhealthy   "Paused: …"
"""

from collections.abc import Sequence
from dataclasses import replace

from local_ai.status.figures import ranks_in_words
from local_ai.status.health import EngineHealth, EngineState, RankHealth
from local_ai.status.report import Facts, ProgramStatus, Report, Supervisor, base_url
from local_ai.status.verdict import STOPPING, Health, Readiness, Verdict
from local_ai.supervision.program import (
    ENGINE,
    GATEWAY,
    OMNI,
    PROGRAM_NAMES,
    SUPERVISORD,
    ProcessInfo,
    ProcessState,
)

# A program that has just been spawned answers within a second or two; on a machine whose cores are all busy,
# it takes half a minute. A start must not call that a failure.
_YOUNG_S = 60.0
_COMING_BACK = "waiting to be restarted"
_PAUSED = "it is paused by a stop signal (SIGSTOP), and does nothing until it is told to continue"


def judge(facts: Facts) -> Report:
    """Turn facts into the report that every surface shows."""
    engine_row, *others = (_program(name, facts) for name in PROGRAM_NAMES)
    verdict = _verdict(facts, (engine_row, *others))
    if facts.engine and facts.engine.ranks:
        engine_row = _with_ranks(engine_row, facts.engine.ranks)
    # Run where it is installed; text is answered without it, so it does not bear on the verdict.
    optional = tuple(_program(info.name, facts) for info in facts.processes if info.name == OMNI)
    return Report(
        verdict=verdict,
        programs=(engine_row, *others, *optional) if facts.supervisor is Supervisor.ANSWERS else (),
        engine=facts.engine,
        host=facts.host,
        port=facts.port,
        pid=facts.supervisor_pid,
        uptime_s=engine_row.uptime_s,
        models=facts.models,
        default_model=facts.default_model,
        version=facts.version,
        queue=facts.queue,
    )


def _program(name: str, facts: Facts) -> ProgramStatus:
    info = _process(name, facts)
    state = info.state if info else ProcessState.UNKNOWN
    alive = info is not None and state in {ProcessState.RUNNING, ProcessState.STARTING}
    uptime_s = max(0.0, facts.now - info.started) if info and info.started and alive else None
    if info and info.is_coming_back:
        reason = facts.exit_reasons.get(name)
        readiness, detail = Readiness.STARTING, _COMING_BACK + (f" ({reason})" if reason else "")
    else:
        readiness, detail = _readiness(name, state, uptime_s, facts)
    return ProgramStatus(
        name=name,
        state=state,
        readiness=readiness,
        detail=detail,
        pid=info.pid if info and alive else None,
        uptime_s=uptime_s,
        restarts=facts.crashes.get(name, 0),
        memory_bytes=facts.memory_bytes.get(name),
        log=facts.logs_dir / f"{name}.log",
    )


def _with_ranks(launcher: ProgramStatus, ranks: Sequence[RankHealth]) -> ProgramStatus:
    """Add the ranks to the program that launches them: in words, and the memory of those on this machine."""
    return replace(
        launcher,
        detail="; ".join(filter(None, (launcher.detail, ranks_in_words(ranks)))),
        memory_bytes=(launcher.memory_bytes or 0) + sum(e.memory_bytes or 0 for e in ranks if not e.host),
    )


def _process(name: str, facts: Facts) -> ProcessInfo | None:
    return next((info for info in facts.processes if info.name == name), None)


def _readiness(name: str, state: ProcessState, uptime_s: float | None, facts: Facts) -> tuple[Readiness, str]:
    if state is ProcessState.STOPPED and name in facts.given_up:
        reason = facts.exit_reasons.get(name)
        return Readiness.UNHEALTHY, f"it ended too often and is no longer restarted; {reason}"
    if state in {ProcessState.STOPPED, ProcessState.STOPPING}:
        return Readiness.STOPPED, "stopping" if state is ProcessState.STOPPING else "stopped by hand"
    if state in {ProcessState.FATAL, ProcessState.EXITED}:
        return Readiness.UNHEALTHY, facts.exit_reasons.get(name, "")
    if state is ProcessState.UNKNOWN:
        return Readiness.UNKNOWN, ""
    if name == GATEWAY and facts.gateway_answers:
        return Readiness.READY, ""
    if name == OMNI and facts.omni is not None:
        return _engine_readiness(facts.omni, facts.now, in_queue=0)
    if name == ENGINE and facts.engine is not None:
        return _engine_readiness(facts.engine, facts.now, in_queue=facts.queue.waiting if facts.queue else 0)
    if name == ENGINE and uptime_s is not None and facts.engine_began is not None:
        uptime_s = min(uptime_s, max(0.0, facts.now - facts.engine_began))
    if name in facts.paused:
        return Readiness.UNHEALTHY, _PAUSED
    if name == ENGINE and facts.awaited_host:
        return Readiness.STARTING, facts.awaited_host
    if uptime_s is None or uptime_s < _YOUNG_S:
        return Readiness.STARTING, f"not listening yet, {uptime_s or 0:.0f} s"
    return Readiness.UNHEALTHY, "does not answer its probe"


def _engine_readiness(engine: EngineHealth, now: float, *, in_queue: int) -> tuple[Readiness, str]:
    seconds = f"{max(0.0, now - engine.since):.0f} s"
    match engine.state:
        case EngineState.READY:
            return Readiness.READY, engine.warning
        case EngineState.BUSY:
            return Readiness.BUSY, busy_detail(engine.running, engine.waiting + in_queue)
        case EngineState.IMPORTING | EngineState.LOADING:
            what = f"loading {engine.loading}" if engine.loading else engine.state
            return Readiness.STARTING, f"{what}, {seconds}"
        case EngineState.FAILED:
            return Readiness.UNHEALTHY, engine.failure.cause if engine.failure else engine.state


def busy_detail(running: int, waiting: int) -> str:
    """Say how much there is to do: "1 answer running, 2 waiting"."""
    answers = "1 answer" if running == 1 else f"{running} answers"
    return f"{answers} running" + (f", {waiting} waiting" if waiting else "")


def _verdict(facts: Facts, programs: tuple[ProgramStatus, ...]) -> Verdict:
    if facts.supervisor is Supervisor.ABSENT:
        return Verdict(
            Health.STOPPED, "Stopped", "the server is not running", command="local-ai server start"
        )
    if facts.supervisor is Supervisor.ENDING:
        return Verdict(
            Health.UNKNOWN,
            STOPPING,
            "supervisord is ending its programs",
            aside=f"pid {facts.supervisor_pid or 'unknown'}",
            why="it was told to end, by a signal or by a stop from elsewhere",
            fix="wait until it has ended, which takes 25 s at most; only if it still runs then",
            command="local-ai server stop --force",
            see=str(facts.logs_dir / "supervisord.log"),
        )
    if facts.supervisor is Supervisor.SILENT and SUPERVISORD in facts.paused:
        return Verdict(
            Health.UNKNOWN,
            "Unknown",
            "supervisord is paused",
            aside=f"pid {facts.supervisor_pid}",
            why=_PAUSED,
            fix="let it continue",
            command=f"kill -CONT {facts.supervisor_pid}",
        )
    if facts.supervisor is Supervisor.SILENT:
        return Verdict(
            Health.UNKNOWN,
            "Unknown",
            "supervisord does not answer",
            aside=f"pid {facts.supervisor_pid or 'unknown'}",
            why="it listens on its socket but did not answer within 2 s",
            command="local-ai server stop --force",
            see=str(facts.logs_dir / "supervisord.log"),
        )
    if facts.queue and facts.queue.is_closed:
        count = facts.queue.all_running
        left = "1 running answer finishes first" if count == 1 else f"{count} running answers finish first"
        words = left if count else "no answer is running"
        return Verdict(Health.STARTING, STOPPING, f"{words}; new requests are refused")
    worst = min(programs, key=lambda row: _SEVERITY.index(row.readiness))
    return _program_verdict(worst, facts)


_SEVERITY = [
    Readiness.UNHEALTHY,
    Readiness.STOPPED,
    Readiness.UNKNOWN,
    Readiness.STARTING,
    Readiness.BUSY,
    Readiness.READY,
]


def _program_verdict(row: ProgramStatus, facts: Facts) -> Verdict:
    role = "engine" if row.name == ENGINE else "gateway"
    address = base_url(facts.host, facts.port).removeprefix("http://")
    match row.readiness:
        case Readiness.READY if facts.default_model:
            return Verdict(Health.HEALTHY, "Ready", f"{facts.default_model} answers at {address}")
        case Readiness.READY:
            return Verdict(
                Health.HEALTHY,
                "Ready",
                f"the server answers at {address}, but there is no model to answer with",
                why="no model that fits this machine was found",
                fix="set model.path in config.toml to a model folder, then run",
                command="local-ai server restart",
            )
        case Readiness.BUSY:
            return Verdict(Health.BUSY, "Busy", row.detail)
        case Readiness.STARTING:
            return _starting(row, role, facts)
        case Readiness.STOPPED if row.state is ProcessState.STOPPING:
            return Verdict(Health.STARTING, STOPPING, f"the {role} is stopping")
        case Readiness.STOPPED:
            return Verdict(
                Health.UNHEALTHY,
                "Stopped by hand",
                f"the {role}",
                why=f"{row.name} was stopped with supervisorctl",
                command="local-ai server start",
            )
        case _:
            return _failed(row, role, facts)


def _starting(row: ProgramStatus, role: str, facts: Facts) -> Verdict:
    info = _process(row.name, facts)
    if info and info.is_coming_back:
        aside = facts.exit_reasons.get(row.name, "")
        return Verdict(Health.STARTING, "Starting", f"the {role} is {_COMING_BACK}", aside=aside)
    return Verdict(Health.STARTING, "Starting", f"the {role} is {row.detail}")


def _failed(row: ProgramStatus, role: str, facts: Facts) -> Verdict:
    if row.name in facts.paused:
        return Verdict(
            Health.UNHEALTHY,
            "Paused",
            f"the {role}",
            aside=f"pid {row.pid}",
            why=_PAUSED,
            fix="let it continue",
            command=f"kill -CONT {row.pid}",
        )
    ended = row.state in {ProcessState.FATAL, ProcessState.EXITED, ProcessState.STOPPED}
    health = {ENGINE: facts.engine, OMNI: facts.omni}.get(row.name)
    failure = health.failure if health and not ended else None
    return Verdict(
        Health.UNHEALTHY,
        "Failed",
        f"the {role} stopped" if ended else f"the {role} cannot serve",
        why=row.detail or "it ended and gave no reason",
        fix=failure.fix if failure else "read the log, then run",
        command=failure.command if failure else "local-ai server restart",
        see=str(row.log),
    )

"""The facts and the report: the same for terminal, page and JSON."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from local_ai.status.health import EngineHealth, Queue
from local_ai.status.verdict import Health, Readiness, Verdict
from local_ai.supervision.program import ENGINE, ProcessInfo, ProcessState


class Supervisor(Enum):
    """Supervisord's answer, or its absence."""

    ANSWERS = "answers"
    ABSENT = "absent"
    ENDING = "ending"  # it refuses calls while it ends its programs
    SILENT = "silent"


@dataclass(frozen=True)
class Facts:
    """All that was observed at one moment."""

    now: float  # seconds since 1970
    supervisor: Supervisor
    supervisor_pid: int | None
    processes: tuple[ProcessInfo, ...]
    gateway_answers: bool
    engine: EngineHealth | None
    crashes: dict[str, int]  # per program, since supervisord started
    exit_reasons: dict[str, str]  # per program, why it last ended unexpectedly
    given_up: frozenset[str]  # programs that were stopped because they kept ending
    memory_bytes: dict[str, int | None]
    host: str
    port: int
    models: tuple[str, ...]  # ids, newest first
    default_model: str | None
    logs_dir: Path
    version: str
    queue: Queue | None = None  # what the gateway has to do, as it says itself
    paused: frozenset[str] = frozenset()  # programs, and supervisord, that a stop signal holds
    omni: EngineHealth | None = None  # of the program `omni`, where it is run
    engine_began: float | None = None  # seconds since 1970; later than its process's after a restart in place
    awaited_host: str = ""  # that keeps the engine from starting, and why


@dataclass(frozen=True)
class ProgramStatus:
    """One row of the programs' table."""

    name: str
    state: ProcessState
    readiness: Readiness
    detail: str  # "importing, 4 s", "1 answer running, 2 waiting", "" when there is nothing to add
    pid: int | None
    uptime_s: float | None
    restarts: int
    memory_bytes: int | None
    log: Path


@dataclass(frozen=True)
class Report:
    """The report that `server.status`, `/status.json` and the page show."""

    verdict: Verdict
    programs: tuple[ProgramStatus, ...]
    engine: EngineHealth | None
    host: str
    port: int
    pid: int | None  # supervisord's
    uptime_s: float | None  # of the engine's process
    models: tuple[str, ...]
    default_model: str | None
    version: str
    queue: Queue | None = None

    @property
    def url(self) -> str:
        return base_url(self.host, self.port)

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        return f"{self.url}/anthropic"

    @property
    def engine_pid(self) -> int | None:
        return next((row.pid for row in self.programs if row.name == ENGINE), None)

    @property
    def is_running(self) -> bool:
        return self.verdict.health is not Health.STOPPED

    @property
    def is_ready(self) -> bool:
        return self.verdict.health in {Health.HEALTHY, Health.BUSY}

    @property
    def exit_code(self) -> int:
        """0 ready, 3 not running or not ready, 4 supervisord does not answer."""
        if self.is_ready:
            return 0
        return 4 if self.verdict.health is Health.UNKNOWN else 3

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values; sizes in bytes, times in seconds."""
        return {
            **to_plain(self),
            "verdict": self.verdict.to_json(),
            "running": self.is_running,
            "ready": self.is_ready,
            "urls": {"page": self.url, "openai": self.openai_url, "anthropic": self.anthropic_url},
        }


def base_url(host: str, port: int) -> str:
    """Return the URL a client on this machine uses for an address the server binds."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def to_plain(value: Any) -> Any:
    """Return a record as JSON-ready values: dicts, lists, and text for enums and paths, all the way down."""
    if names := getattr(value, "__match_args__", ()):
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value

"""The results of the verbs."""

from dataclasses import dataclass

from local_ai.errors import LocalAIError
from local_ai.status.report import Report


@dataclass(frozen=True)
class StartResult:
    """The end of a start."""

    success: bool
    pid: int | None = None  # of the engine
    error: LocalAIError | None = None
    already_running: bool = False
    note: str = ""  # what the user should know although it went well
    report: Report | None = None
    finished: int = 0  # by a restart: answers that were running and were waited for
    cut: int = 0  # by a restart: answers that were running and were cut off


@dataclass(frozen=True)
class StopResult:
    """The end of a stop."""

    success: bool
    error: LocalAIError | None = None
    was_running: bool = True
    forced: bool = False  # whether SIGKILL was used
    finished: int = 0  # answers that were running and were waited for
    cut: int = 0  # answers that were running and were cut off


@dataclass(frozen=True)
class ServerStatus:
    """The server's state, in a few values."""

    running: bool
    pid: int | None  # of the engine
    host: str
    port: int
    models: tuple[str, ...]  # ids, newest first
    uptime_seconds: float | None
    health: str  # healthy | busy | starting | unhealthy | unknown

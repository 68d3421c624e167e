"""The programs, and what supervisord says of their processes."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ENGINE = "mlx-omni-server"
GATEWAY = "welcome-page"
OMNI = "omni"  # speech, transcription and images: run where one of them is installed
SUPERVISORD = "supervisord"
PROGRAM_NAMES = (ENGINE, GATEWAY)
LOG_NAMES = (*PROGRAM_NAMES, OMNI, SUPERVISORD)

# 3: the port cannot be bound. 78: the settings cannot be used. A restart fixes neither. 0 is not among them:
# a program ends so when a signal from outside asks it to. A stop through supervisord counts as no exit there.
FINAL_EXITS = (3, 78)
# A restart by hand passes through STOPPED for some milliseconds; what stays so for this long was stopped.
STOPPED_S = 1.0


class ProcessState(Enum):
    """The state of a process, in supervisord's words.

    Source: http://supervisord.org/subprocess.html#process-states
    """

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"

    @property
    def is_alive(self) -> bool:
        """True if a process may exist or be about to: what a stop must wait for."""
        return self.name in {"STARTING", "RUNNING", "BACKOFF", "STOPPING"}


@dataclass(frozen=True)
class Program:
    """One program for supervisord to run."""

    name: str
    command: tuple[str, ...]
    directory: Path
    log: Path
    environment: tuple[tuple[str, str], ...]
    priority: int  # lower starts first and stops last
    start_s: int  # alive this long counts as started, in seconds
    stop_wait_s: int  # SIGTERM to SIGKILL, in seconds


@dataclass(frozen=True)
class ProcessInfo:
    """The facts that supervisord tells of one process."""

    name: str
    state: ProcessState
    pid: int | None
    started: float | None  # seconds since 1970
    exit_status: int | None
    reason: str  # supervisord's spawn error, "" if none

    @property
    def is_coming_back(self) -> bool:
        """True if it ended and supervisord restarts it by itself: in a second or two, or after a back-off."""
        crashed = self.state is ProcessState.EXITED and self.exit_status not in FINAL_EXITS
        return crashed or self.state is ProcessState.BACKOFF

"""The nouns: programs, their process state (supervisord's word) and their readiness (ours)."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from local_ai.frozen import dataclass, field

ENGINE = "mlx-omni-server"
GATEWAY = "welcome-page"
SUPERVISORD = "supervisord"
PROGRAM_NAMES = (ENGINE, GATEWAY)

# 0: asked to end. 3: the port cannot be bound. 78: the settings cannot be used. None is mended by a restart.
FINAL_EXITS = (0, 3, 78)
# A restart by hand passes through STOPPED for some milliseconds; what stays so for this long was stopped.
STOPPED_S = 1.0

TOKEN_COUNTS = ("prompt", "cached", "answer")  # cached ones are also counted in prompt


class ProcessState(Enum):
    """What supervisord says of a process.

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
        """Whether a process may exist or be about to: what a stop must wait for."""
        return self.name in {"STARTING", "RUNNING", "BACKOFF", "STOPPING"}


class Readiness(Enum):
    """What a probe says of a program; a busy one is alive and well."""

    READY = "ready"
    BUSY = "busy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    STOPPED = "stopped"


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
    """What supervisord tells of one process."""

    name: str
    state: ProcessState
    pid: int | None
    started: float | None  # seconds since 1970
    exit_status: int | None
    reason: str  # supervisord's spawn error, "" if none

    @property
    def is_coming_back(self) -> bool:
        """Whether it ended and supervisord restarts it by itself: in a second or two, or after a back-off."""
        crashed = self.state is ProcessState.EXITED and self.exit_status not in FINAL_EXITS
        return crashed or self.state is ProcessState.BACKOFF


@dataclass(frozen=True)
class EngineHealth:
    """What the engine says of itself on its socket's `/health`."""

    state: str  # importing | loading | ready | busy | failed
    since: float  # seconds since 1970, when it entered that state
    model: str | None  # id of the model in memory
    running: int  # answers being generated
    waiting: int  # requests that wait for their turn
    text: str  # what generates text: mlx-lm | mlx-omni-server
    reason: str | None  # why it failed
    # Both since the engine started, of text that mlx-lm generates.
    steps: int = (
        0  # pieces of prompts read and steps of generating: grows while the generating thread gets on
    )
    tokens: dict[str, dict[str, int]] = field(default_factory=dict)  # by model id, see TOKEN_COUNTS
    loading: str | None = None  # id of the model that is being loaded

    @classmethod
    def from_json(cls, raw: Any) -> EngineHealth | None:
        """Read what `/health` answered; None if it is no such answer. An older engine may tell less."""
        if not isinstance(raw, dict):
            return None
        try:
            return cls(**{name: raw[name] for name in cls.__annotations__ if name in raw})
        except TypeError:
            return None


class RequestState(Enum):
    """Where a request is on its way to the engine."""

    WAITING = "waiting"  # in line
    HELD = "held"  # first in line, and the engine cannot take it yet
    RUNNING = "running"


@dataclass(frozen=True)
class QueuedRequest:
    """One request that the gateway has not finished; never what it says."""

    id: str
    path: str
    model: str | None
    state: RequestState
    position: int | None  # in the line, from 1
    seconds: float  # since it arrived
    streams: bool


@dataclass(frozen=True)
class MarkedModel:
    """A model on which the engine ended, and that has not answered since."""

    model: str
    reason: str
    since: float  # seconds since 1970


@dataclass(frozen=True)
class Queue:
    """What the gateway has to do."""

    running: int
    waiting: int
    max_concurrency: int
    max_queue: int
    longest_wait_s: float
    requests: tuple[QueuedRequest, ...] = ()  # the oldest first, at most fifty
    marked_models: tuple[MarkedModel, ...] = ()
    is_closed: bool = False  # the server stops: what runs finishes, and nothing new is taken


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

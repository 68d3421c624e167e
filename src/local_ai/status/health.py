"""The facts that engine and gateway tell of themselves: health, and the queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any

TOKEN_COUNTS = ("prompt", "cached", "answer")  # cached ones are also counted in prompt


class EngineState(StrEnum):
    """The state of the engine."""

    IMPORTING = "importing"
    LOADING = "loading"
    READY = "ready"
    BUSY = "busy"
    FAILED = "failed"


@dataclass(frozen=True)
class Failure:
    """The reason for which the engine cannot serve, and one step that fixes it; each in one line."""

    what: str
    why: str
    fix: str = ""
    command: str = ""  # ends the fix, and can be run as it is

    @property
    def cause(self) -> str:
        """Say what failed and why."""
        return f"{self.what}: {self.why}"


@dataclass(frozen=True)
class ModelInMemory:
    """One model that the engine holds."""

    id: str
    kind: str  # text | embedding | rerank
    size_bytes: int  # of its weights and of the prompts remembered for it
    since: float  # seconds since 1970
    running: int  # requests that it works on
    waiting: int  # requests that wait for a place beside those
    pinned: bool  # never unloaded by itself
    unloads_in_s: float | None = None  # seconds until it is unloaded if it is idle; None: it stays


@dataclass(frozen=True)
class RankHealth:
    """One of several processes that compute a model together."""

    rank: int  # 0 leads, and answers
    host: str  # its ssh name; "" on this machine
    state: str  # starting | importing | loading | ready | busy | failed
    pid: int | None = None  # on its host, once it was heard
    memory_bytes: int | None = None
    heard_s: float = 0.0  # seconds since it gave a sign of life


@dataclass(frozen=True)
class EngineHealth:
    """The answer of the engine's socket at `/health`."""

    state: EngineState
    since: float  # seconds since 1970, when it entered that state
    model: str | None  # id of the model in memory that generates text, of several the latest used one
    running: int  # answers being generated
    waiting: int  # requests that wait for their turn
    text: str  # what generates text: mlx-lm | mlx-omni-server
    failure: Failure | None = None  # while it has failed
    # Both since the engine started, of text that mlx-lm generates; the first are pieces of prompts read and
    # steps of generating, which grow while the generating thread gets on.
    steps: int = 0
    tokens: dict[str, dict[str, int]] = field(default_factory=dict)  # by model id, see TOKEN_COUNTS
    loading: str | None = None  # id of the model that is being loaded
    unloads_in_s: float | None = None  # seconds until that model is unloaded if it is idle; None: it stays
    device: str | None = None  # what computes: cpu | metal | cuda; None while it is not known
    blas: str | None = None  # what multiplies matrices on the CPU: name, version and where it is from
    blas_fix: str | None = None  # how to get a fast one, where it is a slow one
    max_batch: int | None = None  # requests that the models in memory are given at once, at most
    models: tuple[ModelInMemory, ...] = ()  # all in memory, the latest used first
    # That a model and a conversation can have in memory; None: any is loaded, or not known yet.
    loadable_bytes: int | None = None
    ranks: tuple[RankHealth, ...] = ()  # where several processes compute each model, rank 0 first

    @property
    def in_memory(self) -> frozenset[str]:
        """Ids of the models in memory."""
        return frozenset({*(each.id for each in self.models), *filter(None, [self.model])})

    @property
    def warning(self) -> str:
        """A sentence on why answers come slower than they could; "" where there is no reason."""
        if self.blas_fix is None:
            return ""
        return f"prompts are read slowly with {self.blas}; to fix it: {self.blas_fix}"

    @classmethod
    def from_json(cls, raw: Any) -> EngineHealth | None:
        """Read what `/health` answered; None if it is no such answer. An older engine may tell less."""
        if not isinstance(raw, dict):
            return None
        try:
            known = {name: raw[name] for name in cls.__annotations__ if name in raw}
            failure = Failure(**raw["failure"]) if raw.get("failure") else None
            models = tuple(ModelInMemory(**each) for each in raw.get("models", ()))
            ranks = tuple(RankHealth(**each) for each in raw.get("ranks", ()))
            state = EngineState(raw["state"])
            return cls(**known | {"state": state, "failure": failure, "models": models, "ranks": ranks})
        except (KeyError, TypeError, ValueError):
            return None


class RequestState(Enum):
    """The stage of a request on its way to the engine."""

    WAITING = "waiting"  # in the queue
    HELD = "held"  # first in the queue, and the engine cannot take it yet
    RUNNING = "running"


@dataclass(frozen=True)
class QueuedRequest:
    """One request that the gateway has not finished; never what it says."""

    id: str
    path: str
    model: str | None
    state: RequestState
    position: int | None  # in the queue, from 1
    seconds: float  # since it arrived
    streams: bool
    peer: str | None = None  # the one that it is for; None: the engine


@dataclass(frozen=True)
class MarkedModel:
    """A model on which the engine ended, and that has not answered since."""

    model: str
    reason: str
    since: float  # seconds since 1970


MOST_PEER_MODELS = 50  # that a status names


class PeerState(StrEnum):
    """True if another server can be asked."""

    ASKING = "asking"  # for the first time
    READY = "ready"
    AWAY = "away"


@dataclass(frozen=True)
class PeerHealth:
    """Another server whose models are asked for here."""

    name: str
    url: str
    state: PeerState
    since: float  # seconds since 1970, when it entered that state
    why: str  # it is away, or refused the last request for its key; else ""
    models: tuple[str, ...]  # as they are asked for here, at most fifty
    model_count: int
    paths: tuple[str, ...]  # of ours that it answers
    running: int  # requests from here that it has now
    waiting: int  # requests that wait here for it


@dataclass(frozen=True)
class Queue:
    """The work of the gateway."""

    running: int
    waiting: int
    max_concurrency: int
    max_queue: int
    longest_wait_s: float
    requests: tuple[QueuedRequest, ...] = ()  # the oldest first, at most fifty
    marked_models: tuple[MarkedModel, ...] = ()
    is_closed: bool = False  # the server stops: what runs finishes, and new requests are refused
    peers: tuple[PeerHealth, ...] = ()  # as the settings have them

    @property
    def all_running(self) -> int:
        """The number of requests that run, here and at peers."""
        return self.running + sum(peer.running for peer in self.peers)

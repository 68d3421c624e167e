"""The generating thread's tasks: to load or unload a model, to make room for one, to generate an answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from local_ai.engine.core.job import Event, Job, ModelKey
from local_ai.engine.core.model.tokenizer import ModelWords

if TYPE_CHECKING:
    from local_ai.engine.core.memory.layer_arrays import Restored
    from local_ai.engine.core.vision.rows import Rows

T = TypeVar("T")


@dataclass(frozen=True)
class Unloaded:
    """The memory that an unload gave back."""

    models: tuple[str, ...]  # ids; none: nothing was loaded
    freed_bytes: int


@dataclass(frozen=True)
class LeaseId:
    """One lease of a model."""

    key: ModelKey
    number: int


_numbers = itertools.count()


class Lease:
    """A model's stay in memory on behalf of one request, from its load until the request needs it no more."""

    def __init__(self, key: ModelKey, arrived: float, give_back: Callable[[LeaseId], None]) -> None:
        """Begin it.

        Args:
            arrived: When the request came, as `time.monotonic` tells.
            give_back: Told once that it has ended; on any thread.
        """
        self.id = LeaseId(key, next(_numbers))
        self.arrived = arrived
        self.words: ModelWords | None = None  # of a model that generates text
        self._give_back: Callable[[LeaseId], None] | None = give_back

    def end(self) -> None:
        """Give it back; once is enough."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back(self.id)

    def __del__(self) -> None:
        self.end()


@dataclass(frozen=True, eq=False)
class _Promised(Generic[T]):
    """A request whose caller waits for a result."""

    done: Future[T]
    arrived: float = field(default_factory=time.monotonic, kw_only=True)

    @property
    def is_given_up(self) -> bool:
        """True if its caller has stopped waiting."""
        return self.done.cancelled()


@dataclass(frozen=True, eq=False)
class Load(_Promised[Lease]):
    """A request to load a model that generates text."""

    key: ModelKey
    tokens: int  # of the conversation it is loaded for, as far as that is known


@dataclass(frozen=True)
class SideModel:
    """A model that does not generate text: it is loaded and run on a thread of its own."""

    key: ModelKey
    kind: str  # embedding | rerank
    n_bytes: int  # of its weights
    drop: Callable[[], None]  # from memory; on any thread


@dataclass(frozen=True, eq=False)
class Reserve(_Promised[Lease]):
    """A request for room for a side model, which then stays there until it makes way."""

    model: SideModel

    @property
    def key(self) -> ModelKey:
        return self.model.key


@dataclass(frozen=True, eq=False)
class Unload(_Promised[Unloaded]):
    """A request to unload a model, or all."""

    folder: Path | None  # of the model; None: all


@dataclass(eq=False)
class Request:
    """A request to generate an answer: a job, and where its events go."""

    job: Job
    send: Callable[[Event], None]
    arrived: float = field(default_factory=time.monotonic)
    is_given_up: bool = False  # set by the thread that asked, read by the one that generates
    rows: dict[str, Rows] = field(default_factory=dict)  # of its pictures, by digest, until they are read
    looks: dict[str, Iterator[bool]] = field(default_factory=dict)  # at those whose rows are not made yet
    restored: Restored | None = None  # of its prompt's beginning, from disk

    @property
    def key(self) -> ModelKey:
        return self.job.model

    @property
    def tokens(self) -> int:
        """The longest that the conversation may become."""
        return len(self.job.prompt) + self.job.max_tokens


Call = Load | Reserve | Request  # of a model
Item = Call | Unload

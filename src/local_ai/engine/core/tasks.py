"""The generating thread's tasks: to load or unload a model, to make room for one, to generate an answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.engine.core.job import Event, Job, ModelKey
from local_ai.engine.core.model.tokenizer import ModelWords

if TYPE_CHECKING:
    from local_ai.engine.core.decoding.request import Request


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


class Answer:
    """A handle on a job that was asked for."""

    def __init__(self, request: list[Request], wake: Callable[[], None]) -> None:
        self._request = request
        self._wake = wake
        self.is_cancelled = False

    def cancel(self) -> None:
        """Stop generating as soon as possible; no events follow that matter."""
        self.is_cancelled = True
        for request in self._request:
            request.cancelled = True
        self._wake()


@dataclass(frozen=True, eq=False)
class Load:
    """A request to load a model that generates text."""

    key: ModelKey
    done: Future[Lease]
    tokens: int  # of the conversation it is loaded for, as far as that is known
    arrived: float = field(default_factory=time.monotonic)

    @property
    def is_given_up(self) -> bool:
        """True if its caller has stopped waiting."""
        return self.done.cancelled()


@dataclass(frozen=True)
class SideModel:
    """A model that does not generate text: it is loaded and run on a thread of its own."""

    key: ModelKey
    kind: str  # embedding | rerank
    n_bytes: int  # of its weights
    drop: Callable[[], None]  # from memory; on any thread


@dataclass(frozen=True, eq=False)
class Reserve:
    """A request for room for a side model, which then stays there until it makes way."""

    model: SideModel
    done: Future[Lease]
    arrived: float = field(default_factory=time.monotonic)
    tokens: int = 0

    @property
    def key(self) -> ModelKey:
        return self.model.key

    @property
    def is_given_up(self) -> bool:
        """True if its caller has stopped waiting."""
        return self.done.cancelled()


@dataclass(frozen=True, eq=False)
class Unload:
    """A request to unload a model, or all."""

    done: Future[Unloaded]
    folder: Path | None  # of the model; None: all
    arrived: float = field(default_factory=time.monotonic)

    @property
    def is_given_up(self) -> bool:
        """True if its caller has stopped waiting."""
        return self.done.cancelled()


@dataclass(frozen=True, eq=False)
class Ask:
    """A request to generate an answer."""

    job: Job
    send: Callable[[Event], None]
    flush: Callable[[], None] | None
    answer: Answer
    slot: list[Request]  # its request, once it has begun
    arrived: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> ModelKey:
        return self.job.model

    @property
    def tokens(self) -> int:
        """The longest that the conversation may become."""
        return len(self.job.prompt) + self.job.max_tokens

    @property
    def is_given_up(self) -> bool:
        """True if its caller has stopped waiting."""
        return self.answer.is_cancelled


Call = Load | Reserve | Ask  # of a model
Item = Call | Unload

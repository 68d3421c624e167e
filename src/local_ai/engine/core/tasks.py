"""The generating thread's tasks: to load or unload a model, to generate an answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_ai.engine.core.job import Event, Job, ModelKey
from local_ai.engine.core.model.tokenizer import ModelWords

if TYPE_CHECKING:
    from local_ai.engine.core.decoding.request import Request


@dataclass(frozen=True)
class Unloaded:
    """What an unload gave back."""

    model: str | None  # None: nothing was loaded
    freed_bytes: int


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


@dataclass(frozen=True)
class Load:
    """A request to load a model."""

    key: ModelKey
    done: Future[ModelWords]
    tokens: int  # of the conversation it is loaded for, as far as that is known

    @property
    def is_given_up(self) -> bool:
        """Whether its caller has stopped waiting."""
        return self.done.cancelled()


@dataclass(frozen=True)
class Unload:
    """A request to unload the model."""

    done: Future[Unloaded]

    @property
    def is_given_up(self) -> bool:
        """Whether its caller has stopped waiting."""
        return self.done.cancelled()


@dataclass(frozen=True)
class Ask:
    """A request to generate an answer."""

    job: Job
    send: Callable[[Event], None]
    flush: Callable[[], None] | None
    answer: Answer
    slot: list[Request]  # its request, once it has begun

    @property
    def key(self) -> ModelKey:
        return self.job.model

    @property
    def tokens(self) -> int:
        """The longest that the conversation may become."""
        return len(self.job.prompt) + self.job.max_tokens

    @property
    def is_given_up(self) -> bool:
        """Whether its caller has stopped waiting."""
        return self.answer.is_cancelled


Item = Load | Unload | Ask

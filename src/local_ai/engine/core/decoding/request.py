"""One answer on its way through the generating thread, and the events it sends back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx

from local_ai.engine.core.decoding.constraint import Constraint, ReasoningLimit
from local_ai.engine.core.decoding.sampling import Processor, make_processors
from local_ai.engine.core.job import Event, Finished, Job, Token, TokenLogprob
from local_ai.engine.core.memory.layer_arrays import Restored
from local_ai.engine.core.model.detokenize import Detokenizer
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.vision.rows import Rows

Array = Any  # mlx.core.array


class Request:
    """A job, and where its events go."""

    def __init__(self, job: Job, send: Callable[[Event], None]) -> None:
        self.job = job
        self.send = send
        self.rows: dict[str, Rows] = {}  # of its pictures, by digest, until they are read
        self.looks: dict[str, Iterator[bool]] = {}  # at those whose rows are not made yet
        self.restored: Restored | None = None  # of its prompt's beginning, from disk
        self.cancelled = False  # set by the thread that asked, read by the one that generates


class Writer:
    """Turns one request's tokens into events."""

    def __init__(self, request: Request, words: ModelWords) -> None:
        self.request = request
        self._words = words
        self._detokenizer = Detokenizer(words, request.job.prompt)

    def token(self, token: int, logprobs: Array) -> None:
        """Send one generated token; `logprobs` are those of the whole vocabulary."""
        text = self._detokenizer.add(token)
        wanted = self.request.job.logprobs
        if wanted is None:
            self.request.send(Token(text))
            return
        chosen = TokenLogprob(token, self._words.decode([token]), _finite(logprobs[token].item()))
        self.request.send(Token(text, chosen, self._likeliest(logprobs, wanted)))

    def finish(self, reason: str) -> None:
        self.request.send(Finished(reason, self._detokenizer.finish()))

    def _likeliest(self, logprobs: Array, count: int) -> tuple[TokenLogprob, ...]:
        count = min(count, logprobs.shape[-1])
        if count == 0:
            return ()
        best = mx.argsort(-logprobs)[:count]
        tokens: list[int] = best.tolist()  # type: ignore[assignment]
        values: list[float] = logprobs[best].tolist()
        return tuple(
            TokenLogprob(token, self._words.decode([token]), _finite(value))
            for token, value in zip(tokens, values, strict=True)
        )


def request_processors(job: Job, words: ModelWords, vocabulary: int) -> list[Processor]:
    """Make everything that changes this job's logits; the grammar has the last word.

    Raises:
        ValueError: The grammar cannot be compiled.
    """
    start = len(job.prompt)
    processors = make_processors(job.sampling, prompt_tokens=start, vocabulary=vocabulary)
    if job.thought_tokens is not None and words.thought:
        begin, end = words.encode(words.thought.start), words.encode(words.thought.end)
        begins = None if job.in_thought else begin
        processors.append(ReasoningLimit(job.thought_tokens, begins, end, start))
    if job.grammar:
        processors.append(Constraint(job.grammar, words, start))
    return processors


def _finite(logprob: float) -> float:
    # JSON has no infinity; the API's own word for "not among the likeliest" is -9999.
    return logprob if logprob > -9999 else -9999.0

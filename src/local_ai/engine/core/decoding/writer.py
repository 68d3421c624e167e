"""The events that an answer sends back, and what changes its logits."""

import mlx.core as mx

from local_ai.engine.core.array import Array
from local_ai.engine.core.decoding.constraint import Constraint, ReasoningLimit
from local_ai.engine.core.decoding.sampling import Processor, make_processors
from local_ai.engine.core.job import Finished, Job, Token, TokenLogprob
from local_ai.engine.core.model.detokenize import Detokenizer
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.tasks import Request


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


def request_processors(job: Job, words: ModelWords) -> list[Processor]:
    """Make what changes a job's logits, the grammar last; ValueError where that cannot be compiled."""
    start = len(job.prompt)
    processors = make_processors(job.sampling, prompt_tokens=start, vocabulary=words.vocabulary_size)
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

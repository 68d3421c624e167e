"""Warming a graphics card: what it compiles or loads when first used is used before the first question."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from llguidance import LLMatcher

from local_ai.engine.core.decoding.batch import Batch
from local_ai.engine.core.decoding.sequential import Sequence
from local_ai.engine.core.device import device
from local_ai.engine.core.job import Event, Failed, Grammar, Job, Sampling
from local_ai.engine.core.model.loading import LoadedModel
from local_ai.engine.core.tasks import Request

log = logging.getLogger(__name__)

_TOKENS = 64  # of a prompt
# Every way to choose a token, once: each has kernels of its own. On an H100, the first answer that asked for
# one waited, and all others with it: top_p 10.9 s, a repetition penalty 8.4, a presence penalty 3.8, a bias
# 3.7, a grammar 0.6 (its tokens are read then).
_SAMPLINGS = (
    Sampling(temperature=0.8),
    Sampling(temperature=0.8, seed=1),
    Sampling(temperature=0.8, top_p=0.9),
    Sampling(temperature=0.8, top_k=40),
    Sampling(temperature=0.8, min_p=0.05),
    Sampling(logit_bias=((0, -1.0),)),
    Sampling(presence_penalty=0.5, frequency_penalty=0.5),
    Sampling(repetition_penalty=1.1),
)


def warm(batch: Batch | Sequence, loaded: LoadedModel) -> Iterator[None]:
    """Answer what first questions may be like: of one row and of several, and of every sampling.

    Yields between two steps.

    Measured on an H100 with mlx 0.32.4: the first answer after a start took 17 s without; with one, two and
    four rows warmed, the first sixteen answers took 8.4 s and the next ones 1.7 s. There each number of rows
    chooses kernels of its own, 60 ms the first time, and prompts of several lengths another way to read them
    (9 s): so lengths differ, and answers of the last round end one by one.
    """
    is_cuda = device() == "cuda"
    for rows in (2**power for power in range(batch.most.bit_length())):
        longer = int(is_cuda and 2 * rows > batch.most)
        yield from _answer(
            batch,
            [_job(loaded, _TOKENS - row % 4, start=row, answer=4 + row * longer) for row in range(rows)],
        )
    if not is_cuda:
        return
    job = _job(loaded, _TOKENS, answer=4)
    kinds = [replace(job, sampling=sampling) for sampling in _SAMPLINGS]
    kinds += [
        replace(job, logprobs=5),
        replace(job, grammar=Grammar(LLMatcher.grammar_from_regex("(.|\n)*"))),
    ]
    for kind in kinds:
        yield from _answer(batch, [kind])


def _job(loaded: LoadedModel, tokens: int, *, answer: int, start: int = 0) -> Job:
    """Make a job; of one start, what was read of the one before is remembered."""
    vocabulary = loaded.words.vocabulary_size
    prompt = tuple((start + token) % vocabulary for token in range(tokens))
    return Job(loaded.words.key, prompt, max_tokens=answer)


def _answer(batch: Batch | Sequence, jobs: list[Job]) -> Iterator[None]:
    for job in jobs:
        batch.add(Request(job, _log_failure))
    while len(batch):
        batch.step()
        yield


def _log_failure(event: Event) -> None:
    if isinstance(event, Failed):
        log.warning("warming failed: %s", event.error)

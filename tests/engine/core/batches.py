"""What tests of the core's batches share: tiny models in memory, and answers run to their end."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.tiny_families import make_tiny_family

from local_ai.engine.core.job import Event, Failed, Finished, Job, ModelKey, Started, Token

PLENTY = 10**12


@cache
def loaded(family: str) -> Any:
    """Load a tiny model of a family; it never ends its answers by itself."""
    from tests.engine.core.loads import load_model

    from local_ai.engine.core.residents import spare_compiler

    spare_compiler()
    with tempfile.TemporaryDirectory() as folder:
        make_tiny_family(Path(folder), family, endless=True)
        return load_model(ModelKey(family, Path(folder)), trust_remote_code=False)


def make_batch(family: str, *, memory_bytes: int = 10**9, guard: Any = None) -> Any:
    """Make a batch that remembers; without a `guard`, memory is plenty."""
    from local_ai.engine.core.decoding.batch import Batch
    from local_ai.engine.core.memory.guard import MemoryGuard
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    return Batch(loaded(family), PromptCache(memory_bytes), guard or MemoryGuard(lambda: PLENTY, 0))


@dataclass
class Heard:
    """What one request has heard."""

    events: list[Event] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Token | Finished))

    @property
    def started(self) -> Started:
        return next(event for event in self.events if isinstance(event, Started))

    @property
    def error(self) -> Any:
        return next((event.error for event in self.events if isinstance(event, Failed)), None)

    @property
    def has_ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], Finished | Failed)


def ask(batch: Any, prompt: Any, tokens: int = 8, *, branches: tuple[int, ...] = ()) -> Heard:
    """Have a batch begin an answer."""
    from local_ai.engine.core.tasks import Request

    heard = Heard()
    job = Job(ModelKey("tiny", Path()), tuple(prompt), tokens, branches=branches)
    batch.add(Request(job, heard.events.append))
    return heard


def finish(batch: Any) -> None:
    """Run a batch until all its answers have ended."""
    while len(batch):
        batch.step()


def answer(batch: Any, prompt: Any, tokens: int = 8, *, branches: tuple[int, ...] = ()) -> Heard:
    """Run one answer to its end."""
    heard = ask(batch, prompt, tokens, branches=branches)
    finish(batch)
    assert isinstance(heard.events[-1], Finished), heard.events
    return heard


def words(seed: int, count: int) -> list[int]:
    """Make a text of so many tokens, another one for each seed."""
    return [70 + (seed * 7919 + place * place * 31 + place * seed) % 300 for place in range(count)]

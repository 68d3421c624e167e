"""One model in memory, with everything made from it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from local_ai.engine.core.decoding.batch import Batch
from local_ai.engine.core.decoding.sequential import Sequence
from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.prompt_cache import PromptCache
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.tasks import Lease

# Longer than any prompt may take to be written. A lease that was lost does not keep a model for ever.
_LONGEST_LEASE_S = 120.0


@dataclass(eq=False)
class Resident:
    """A model in memory; for the generating thread alone, but for `words`."""

    key: ModelKey
    kind: str  # text | embedding | rerank
    weight_bytes: int
    is_kept: Callable[[], bool]  # pinned, as the settings or a command have it now
    batch: Batch | Sequence | None = None  # of a model that generates text
    words: ModelWords | None = None  # its text side; read by any thread
    prompts: PromptCache | None = None
    drop: Callable[[], None] | None = None  # of a model that has a thread, or other ranks, of its own
    since: float = field(default_factory=time.time)  # seconds since 1970
    loaded_at: float = field(default_factory=time.monotonic)
    last_used: float = field(default_factory=time.monotonic)
    keep_s: float | None = None  # how long it stays idle, where a request said so
    waiting: int = 0  # requests
    leases: dict[int, float] = field(default_factory=dict)  # by number; when each is over at the latest

    @property
    def running(self) -> int:
        """The number of requests it works on."""
        if self.batch is None:
            return len(self.leases)
        return len(self.batch)

    @property
    def n_bytes(self) -> int:
        """The memory that its end gives back, in bytes."""
        return self.weight_bytes + (self.prompts.n_bytes if self.prompts is not None else 0)

    @property
    def is_pinned(self) -> bool:
        return self.is_kept()

    @property
    def is_busy(self) -> bool:
        """True if it works, or a request is on its way to it."""
        now = time.monotonic()
        return self.running > 0 or any(until > now for until in list(self.leases.values()))

    def lease(self, lease: Lease) -> Lease:
        """Let a request have it in memory."""
        lease.words = self.words
        until = time.monotonic() + (_LONGEST_LEASE_S if self.batch is not None else math.inf)
        self.leases[lease.id.number] = until
        return lease

    def idle_limit_s(self, usual: Callable[[ModelKey], float]) -> float | None:
        """Return the seconds that it may be idle; None: any.

        Args:
            usual: Tells what the settings say; 0 keeps it.
        """
        limit = self.keep_s
        if limit is None:
            limit = usual(self.key) or math.inf
        return None if math.isinf(limit) or self.is_pinned else limit

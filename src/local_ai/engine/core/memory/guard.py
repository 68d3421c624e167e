"""A guard of memory while answers are generated, so that it is never the process that ends.

plenty ─▶ scarce: remembered prompts are forgotten, and no further request begins beside those that run
       ─▶ small:  each step reads no more of the prompts than there is room for
       ─▶ short:  the longest answer ends, with an error that says so
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import mlx.core as mx

from local_ai.models.memory import available_bytes, card_free_bytes, total_bytes, working_set_bytes
from local_ai.serving.errors import ApiError

_RESERVE_SHARE = 0.03  # of the machine's memory: for what one step takes for a moment
_FADING = 0.99
_SMALL_STEP = 256  # tokens of prompts; a step can always be made so small
_SURE = 0.75  # of the room: an estimate is not exact
_FEW_TOKENS = 64  # what fewer take hardly grows with their number
_LEAST_RESERVE, _MOST_RESERVE = 256_000_000, 1_000_000_000


@dataclass(frozen=True)
class Step:
    """The work of a step: tokens of prompts that are read, and answers that each grow by one."""

    tokens: int = 0
    answers: int = 0
    joins: bool = False  # answers begin with it: what the others hold is copied


@dataclass(frozen=True)
class _Taken:
    """The memory that steps of one kind took for a moment; what was seen long ago counts for less."""

    bytes: float = 0.0
    size: int = 1  # of the step that took it, in what `Step` counts

    def after(self, taken: int, size: int) -> _Taken:
        """Take in another step of this kind."""
        faded = self.bytes * _FADING
        return _Taken(taken, max(1, size)) if taken >= faded else _Taken(faded, self.size)


class MemoryGuard:
    """The memory that is missing, by what the machine has left."""

    def __init__(self, room: Callable[[], int] | None = None, reserve_bytes: int | None = None) -> None:
        """Watch this machine's memory.

        Args:
            room: Returns the bytes that can be taken still; None: as this machine has them.
            reserve_bytes: That are never taken on purpose, unless a step takes more; None: a share of the
                machine's memory.
        """
        self._room = room or device_room()
        self._least_reserve = _machine_reserve() if reserve_bytes is None else reserve_bytes
        self._reading = _Taken()
        self._answering = _Taken()

    def _reserve(self, step: Step) -> int:
        """Estimate what a step takes for a moment: a smaller one its part; a reserve at least.

        Prompts take what their tokens do, also more than was seen. What answers take hardly grows with them.
        """
        reading = step.tokens * self._bytes_per_token
        answering = self._answering.bytes * min(1.0, step.answers / self._answering.size)
        return max(self._least_reserve, int(max(reading, answering)))

    @property
    def _bytes_per_token(self) -> float:
        """Of a prompt, for a moment."""
        return self._reading.bytes / max(self._reading.size, _FEW_TOKENS)

    @contextmanager
    def measured_step(self, step: Step) -> Iterator[None]:
        """Learn what a step takes for a moment, beside what it leaves behind."""
        mx.reset_peak_memory()
        yield
        taken = mx.get_peak_memory() - mx.get_active_memory()
        if step.tokens and not step.joins:
            self._reading = self._reading.after(taken, step.tokens)
        else:
            self._answering = self._answering.after(taken, step.answers)

    def scarce_by(self, need: int) -> int:
        """Count the bytes that are missing to take `need` more and be at ease; 0 or less: none."""
        reserve = self._reserve(Step(_SMALL_STEP, self._answering.size))
        return need + 2 * reserve - self._room()

    def fits_alone(self, need: int) -> bool:
        """True if `need` bytes can be taken where nothing runs: what larger batches took does not count."""
        return need + self._least_reserve <= self._room()

    def short_by(self, need: int, step: Step = Step()) -> int:
        """Count the bytes that are missing to take `need` more and this step; 0 or less: none."""
        return need + self._reserve(step) - self._room()

    def readable(self, need: int, tokens: int) -> int:
        """Bound the tokens of prompts that a step reads by the room that is left beside `need` bytes."""
        if not self._reading.bytes or self.short_by(need, Step(tokens)) <= 0:
            return tokens
        return max(0, int(_SURE * (self._room() - need) / self._bytes_per_token))


def out_of_memory(what: str, held: str) -> ApiError:
    """Word the end of an answer for want of memory (503).

    Args:
        what: Stopped.
        held: What memory is needed for, a clause.
    """
    return ApiError(
        what,
        why=f"memory is running out: {held}",
        fix="shorten the conversation, send fewer at once, or take a smaller model",
        status=503,
        code="out_of_memory",
    )


def device_room() -> Callable[[], int]:
    """Make a function that reads the bytes still free.

    With Metal: what it recommends to keep in use at once. There the system's own figure counts as taken
    what it could compress. With an NVIDIA card: what the card has.
    """
    if card_free_bytes() is not None:
        return _card_room
    if (limit := working_set_bytes()) is not None:
        most = limit
        return lambda: most - int(mx.get_active_memory())
    return lambda: available_bytes() + int(mx.get_cache_memory())


def _card_room() -> int:
    """Count what the card has free, and what MLX keeps there for its next arrays.

    MLX gives such arrays back only near a limit that it takes from the card's whole memory. Where another
    program holds a part, an allocation failed with 44 GB kept: so the limit is what can be had now.
    """
    free, kept = card_free_bytes() or 0, int(mx.get_cache_memory())
    mx.set_memory_limit(max(1, int(mx.get_active_memory()) + kept + free - _LEAST_RESERVE))
    return free + kept


def _machine_reserve() -> int:
    most = working_set_bytes() or total_bytes()
    return int(min(max(_RESERVE_SHARE * most, _LEAST_RESERVE), _MOST_RESERVE))

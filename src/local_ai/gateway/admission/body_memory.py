"""Memory for the bodies of requests under way: many large ones at once must not use it up.

A body is held until its answer has ended, since it may have to be sent again.
"""

from __future__ import annotations

from typing import Self

from local_ai.serving.errors import ApiError

# Smaller bodies are not counted: the number of connections bounds it well enough.
SMALL_BYTES = 64 * 1024
_RETRY_AFTER_S = 2


class MemoryBudget:
    """Bytes of large bodies that may be held at once."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.free = most_bytes

    def book(self) -> Reservation:
        """Begin to hold a body."""
        return Reservation(self)


class Reservation:
    """One body's part of the budget, held inside a with block."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._held = 0

    def hold(self, size: int) -> None:
        """Hold a body that has grown to so many bytes.

        Raises:
            ApiError: 503, if the other bodies use up the budget.
        """
        more = max(0, size - SMALL_BYTES) - self._held
        if more > self._budget.free:
            raise _no_room(self._budget.most_bytes)
        self._held += more
        self._budget.free -= more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back to the budget."""
        self._budget.free += self._held
        self._held = 0


def _no_room(most_bytes: int) -> ApiError:
    return ApiError(
        "the request cannot be held now",
        status=503,
        why=f"the large requests under way fill the {most_bytes // 1024 // 1024} MB there are for them "
        "(4 times gateway.max_body_mb)",
        fix="try again in a moment, or send less at once",
        code="no_room_for_body",
        retry_after_s=_RETRY_AFTER_S,
    )

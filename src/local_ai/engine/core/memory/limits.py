"""The memory that all models together may have, and the part of it that is left."""

from collections.abc import Callable

import mlx.core as mx

from local_ai.engine.core.memory.guard import device_room
from local_ai.models.memory import (
    Machine,
    available_bytes,
    card_free_bytes,
    margin_of,
    this_machine,
    working_set_bytes,
)


class MemoryLimits:
    """The bounds of loads and of conversations: arrays of all models and threads count."""

    def __init__(
        self,
        budget: Callable[[], int | None],
        machine: Machine | None = None,
        *,
        is_checked: Callable[[], bool] = lambda: True,
    ) -> None:
        """Bound by what the machine can hold, or by a budget.

        Args:
            budget: Returns the setting, in bytes, as it is now; None: as the machine has them.
            machine: Another one than this.
            is_checked: Returns whether a model that does not fit is refused; where it is not, conversations
                with it may take all that is free.
        """
        self._budget = budget
        self._is_checked = is_checked
        self._machine = machine or this_machine()
        self._device_room = device_room()

    @property
    def most_bytes(self) -> int:
        """Bytes that all models and their conversations may have."""
        budget = self._budget()
        return self._machine.most_bytes if budget is None else budget

    @property
    def margin(self) -> int:
        """Bytes of them that no load takes."""
        return margin_of(self.most_bytes)

    @property
    def is_set(self) -> bool:
        """True if a setting says how much."""
        return self._budget() is not None

    def left(self) -> int:
        """Bytes that a load may still take."""
        return self.most_bytes - self.margin - int(mx.get_active_memory())

    def conversations_left(self) -> int:
        """Bytes that conversations may still take, for the guard."""
        if not self._is_checked():
            return _free_bytes()
        room = self._device_room()
        return min(room, self.most_bytes - int(mx.get_active_memory())) if self.is_set else room

    def free_now(self) -> int | None:
        """Bytes that are free at this moment; None where the system makes room for what Metal recommends.

        Elsewhere a load beyond them ends the process: it is killed, or the card has no more.
        """
        if card_free_bytes() is None and working_set_bytes() is not None:
            return None
        return _free_bytes()


def _free_bytes() -> int:
    free = card_free_bytes()
    return (available_bytes() if free is None else free) + int(mx.get_cache_memory())

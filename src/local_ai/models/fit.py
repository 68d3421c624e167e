"""The judgement that a model fits this machine, for loads, downloads, lists, the doctor and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_ai.models.memory import Machine, this_machine

if TYPE_CHECKING:
    from local_ai.settings.schema import ModelsSettings

_MARGIN_SHARE = 0.02  # of what models may have: for what one step takes for a moment
_MOST_MARGIN = 1_000_000_000


def margin_of(most_bytes: int) -> int:
    """Return the bytes that no load takes, of those that models may have."""
    return int(min(_MARGIN_SHARE * most_bytes, _MOST_MARGIN))


def loadable_bytes(settings: ModelsSettings, machine: Machine | None = None) -> int:
    """Return the bytes that a model's weights and a conversation with it can have.

    Args:
        settings: `[models]`; whether a model that does not fit is refused is not looked at.
        machine: Another one than this, whose figures may import mlx.
    """
    budget = budget_bytes(settings)
    most = (machine or this_machine()).most_bytes if budget is None else budget
    return most - margin_of(most)


def budget_bytes(settings: ModelsSettings) -> int | None:
    """Return what `models.budget` says, in bytes; None: as the machine has them."""
    return None if settings.budget == "auto" else int(settings.budget * 1e9)

"""The number of requests that the engine is given at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_ai.settings.schema import LocalAISettings

# Of an engine that decides by itself: until it says its own number, and the most of all.
_UNTIL_KNOWN, _MOST = 16, 64


def concurrency(settings: LocalAISettings) -> tuple[int, int]:
    """Return how many requests the engine is given until it says its own number, and the most afterwards."""
    for wanted in (settings.gateway.max_concurrency, settings.engine.max_batch):
        if wanted != "auto":
            return wanted, wanted
    return _UNTIL_KNOWN, _MOST

"""Models to begin with: a short list beside this file, and which of them a machine has the memory for."""

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("recommended.toml")
# A machine sold with 32 GB may count 31, or 34, of them.
_TOLERANCE = 0.9


@dataclass(frozen=True)
class Recommended:
    """One model of the list."""

    name: str  # on the hub
    size_gb: float  # of its weights
    context_tokens: int
    licence: str
    memory_gb: float  # that a machine should have for it

    def fits(self, memory_bytes: int) -> bool:
        """Tell whether a machine with so much memory can hold it, with a conversation."""
        return memory_bytes >= _TOLERANCE * self.memory_gb * 1e9


def recommended_models(platform: str = sys.platform) -> tuple[Recommended, ...]:
    """Return the list for this machine, the smallest first: what a Mac computes fast, others do not."""
    return tuple(Recommended(**each) for each in _read()["metal" if platform == "darwin" else "other"])


def as_of() -> str:
    """Return when the list was written, YYYY-MM."""
    return str(_read()["as_of"])


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text("utf-8"))


def best_for(memory_bytes: int, models: Sequence[Recommended]) -> Recommended | None:
    """Choose the largest that fits; None where none does."""
    return next((each for each in reversed(models) if each.fits(memory_bytes)), None)

"""What a run was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How long to measure, and where to work."""

    rounds: int
    quick: bool
    folder: Path  # empty at first, gone afterwards

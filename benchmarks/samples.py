"""What was measured, and its statistics. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OURS = "local-ai"


@dataclass(frozen=True)
class Spread:
    """The middle of some values, and where half of them lie."""

    low: float  # first quartile
    middle: float  # median
    high: float  # third quartile


@dataclass(frozen=True)
class What:
    """One question that several were asked."""

    suite: str
    text: str
    unit: str  # s | ms | tokens/s | events/s | MB | %
    baseline: str  # whom the others are compared with
    more_is_better: bool = False


@dataclass(frozen=True)
class Row:
    """One answer to one question: who, and how it was in each round."""

    what: What
    who: str
    samples: tuple[float, ...]
    baseline: tuple[float, ...]  # the baseline's samples, round by round; () where it has none

    @property
    def spread(self) -> Spread:
        return spread(self.samples)

    @property
    def ratio(self) -> Spread | None:
        """The baseline's multiple; None for the baseline itself, where there is none, and where it is 0."""
        if self.who == self.what.baseline or not self.baseline or statistics.median(self.baseline) == 0:
            return None
        return ratio(self.samples, self.baseline)


@dataclass
class Samples:
    """Everything measured in a run, in the order in which it was first asked."""

    _values: dict[What, dict[str, list[float]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)  # who or what could not be measured, and why

    def add(self, what: What, who: str, *values: float) -> None:
        """Add what one round brought."""
        self._values.setdefault(what, {}).setdefault(who, []).extend(values)

    def rows(self) -> list[Row]:
        """Return one row per question and who was asked."""
        return [
            Row(what, who, tuple(values), tuple(by_who.get(what.baseline, ())))
            for what, by_who in self._values.items()
            for who, values in by_who.items()
        ]


def spread(values: Iterable[float]) -> Spread:
    """Return median and quartiles; of a single value, that value.

    Raises:
        ValueError: There is no value.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    if len(ordered) == 1:
        return Spread(ordered[0], ordered[0], ordered[0])
    low, middle, high = statistics.quantiles(ordered, n=4, method="inclusive")
    return Spread(low, middle, high)


def ratio(values: tuple[float, ...], baseline: tuple[float, ...]) -> Spread:
    """Compare round by round, as both met the same machine in the same round; else by the medians.

    Where rounds do not pair up, the spread is that of the values alone.
    """
    if len(values) == len(baseline) and all(baseline):
        return spread(value / base for value, base in zip(values, baseline, strict=True))
    middle = spread(baseline).middle
    return spread(value / middle for value in values)


def as_json(row: Row) -> dict[str, Any]:
    """Return a row for programs: its question, median, quartiles, ratio and every sample."""
    own, against = row.spread, row.ratio
    return {
        "suite": row.what.suite,
        "what": row.what.text,
        "who": row.who,
        "unit": row.what.unit,
        "more_is_better": row.what.more_is_better,
        "median": own.middle,
        "quartiles": [own.low, own.high],
        "baseline": row.what.baseline,
        "ratio": against and against.middle,
        "ratio_quartiles": against and [against.low, against.high],
        "samples": list(row.samples),
    }


def key_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Name a row of a run's JSON, the same in every run."""
    return str(row["suite"]), str(row["what"]), str(row["who"])

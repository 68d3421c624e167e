"""A run as a table that people read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from benchmarks.samples import Row, Spread

_HEADER = ("what", "who", "median", "half of all between", "beside the baseline")


def as_markdown(rows: Iterable[Row], machine: Mapping[str, str], absent: Mapping[str, str]) -> str:
    """Write one table per suite, what it was measured on, and what is missing and why."""
    parts = ["\n".join(f"- {name}: {text}" for name, text in machine.items())]
    for suite, of_suite in groupby(rows, key=lambda row: row.what.suite):
        parts.append(f"## {suite}")
        parts.append(_table(of_suite))
    if absent:
        parts.append("Not measured, or not as meant:")
        parts.append("\n".join(f"- {who}: {why}" for who, why in absent.items()))
    return "\n\n".join(parts) + "\n"


def describe_ratio(row: Row) -> str:
    """Write "0.41× (0.40–0.43)", "baseline", or "" where there is nothing to compare with."""
    against = row.ratio
    if against is None:
        return "baseline" if row.who == row.what.baseline else ""
    text = f"{_number(against.middle)}×"
    return text if len(row.samples) < 2 else f"{text} ({_range(against)})"


def describe_value(row: Row) -> str:
    """Write the median with its unit."""
    return f"{_number(row.spread.middle)} {row.what.unit}"


def _table(rows: Iterable[Row]) -> str:
    lines = [_line(_HEADER), _line(["---"] * len(_HEADER))]
    for text, of_text in groupby(rows, key=lambda row: row.what.text):
        for number, row in enumerate(of_text):
            between = _range(row.spread) if len(row.samples) > 1 else ""
            shown = text if number == 0 else ""
            lines.append(_line([shown, row.who, describe_value(row), between, describe_ratio(row)]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _range(values: Spread) -> str:
    return f"{_number(values.low)}–{_number(values.high)}"


def _number(value: float) -> str:
    """Write three digits that count: 0.0412, 0.41, 12.3, 1,234."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:.{digits}f}"

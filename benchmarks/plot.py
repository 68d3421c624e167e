"""A run as a picture: bars with their values in words, as an SVG without script. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from xml.sax.saxutils import escape

from benchmarks.report import describe_ratio, describe_value
from benchmarks.samples import OURS, Row

_WIDTH, _LABEL, _BAR, _LINE, _GAP = 960, 250, 420, 22, 34
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px } .note { fill: #59636e }
.ground { fill: #ffffff } .other { fill: #a8b1ba } .ours { fill: #0969da } .spread { stroke: #1f2328 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .note { fill: #9198a1 } .ground { fill: #0d1117 }
  .other { fill: #656c76 } .ours { fill: #4493f8 } .spread { stroke: #f0f6fc }
}"""


# The README's picture: a few questions, each with its baseline and ours alone.
_SUMMARY = (
    "tokens/s for 8 clients",
    "first token of a short question",
    "the same, while a 2,000-token prompt is read",
    "start to model ready",
    "engine's crash to ready again",
)


def as_summary(rows: Iterable[Row], machine: Mapping[str, str]) -> str:
    """Draw the panels of `_SUMMARY` that were measured, each with two bars."""
    chosen = [row for row in rows if row.what.text in _SUMMARY and row.who in {row.what.baseline, OURS}]
    return as_svg(sorted(chosen, key=lambda row: _SUMMARY.index(row.what.text)), machine)


def as_svg(
    rows: Iterable[Row], machine: Mapping[str, str], *, title: str = "local-ai beside its peers"
) -> str:
    """Draw a panel for each question that more than one was asked; each says which way is better."""
    panels = [list(panel) for _, panel in groupby(rows, key=lambda row: row.what)]
    parts: list[str] = []
    top = 52
    for panel in (panel for panel in panels if len(panel) > 1):
        parts.extend(_panel(panel, top))
        top += _GAP + _LINE * len(panel)
    facts = f"{machine.get('date', '')}, {machine.get('processor', '')}"
    described = ". ".join(f"{row.what.text}, {row.who}: {describe_value(row)}" for p in panels for row in p)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" '
        f'width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="desc">{escape(described)}.</desc>\n'
        f'<style>{_STYLE}</style>\n<rect class="ground" width="{_WIDTH}" height="{top}"/>\n'
        f'<text class="title" x="16" y="26">{escape(title)}</text>'
        f'<text class="note" x="{_LABEL}" y="26">{escape(facts)}; medians, lines: half of all rounds</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(panel: list[Row], top: int) -> list[str]:
    what = panel[0].what
    better = "more is better" if what.more_is_better else "less is better"
    longest = max(row.spread.high for row in panel) or 1
    parts = [
        f'<text class="title" x="16" y="{top + 12}">{escape(what.text)}'
        f'<tspan class="note" dx="8" font-weight="400">{escape(what.suite)}, {better}</tspan></text>'
    ]
    for number, row in enumerate(panel):
        parts.append(_bar(row, top + 20 + number * _LINE, _BAR / longest))
    return parts


def _bar(row: Row, top: int, scale: float) -> str:
    seen = row.spread
    kind = "ours" if row.who.startswith(OURS) else "other"
    ratio = describe_ratio(row)
    value = describe_value(row) + (f", {ratio}" if ratio else "")
    low, high = _LABEL + seen.low * scale, _LABEL + seen.high * scale
    middle, width = top + 8, max(1, seen.middle * scale)
    return (
        f'<text x="{_LABEL - 8}" y="{top + 13}" text-anchor="end">{escape(row.who)}</text>'
        f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{width:.1f}" height="16" rx="2"/>'
        f'<path class="spread" d="M{low:.1f} {middle}H{high:.1f}"/>'
        f'<text x="{high + 8:.1f}" y="{top + 13}">{escape(value)}</text>'
    )

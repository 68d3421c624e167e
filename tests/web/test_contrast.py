"""Colours are told apart by everybody: AA contrast for every pair the page uses.

Source: https://www.w3.org/TR/WCAG22/#contrast-minimum and #non-text-contrast.
"""

from __future__ import annotations

import re

import pytest

from local_ai.supervision.render import template_dir

TEXT = 4.5
EDGE = 3.0  # of controls and focus rings

PAIRS = [
    *((text, ground, TEXT) for text in ("text", "soft", "accent") for ground in ("ground", "card", "code")),
    *((f"on-{name}", name, TEXT) for name in ("accent", "good", "wait", "bad", "off")),
    ("text", "mine", TEXT),
    *((name, "code", TEXT) for name in ("word", "string", "number", "name")),
    *(("edge", ground, EDGE) for ground in ("ground", "card")),
    *(("accent", ground, EDGE) for ground in ("ground", "card", "code", "good", "wait", "bad", "off")),
]


def palettes() -> dict[str, dict[str, str]]:
    css = (template_dir() / "web/page.css").read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", css)
    return {
        "light": {name: light for name, light, _ in pairs},
        "dark": {name: dark for name, _, dark in pairs},
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS, ids=lambda value: str(value))
def test_contrast_is_enough(scheme: str, front: str, back: str, least: float) -> None:
    colours = palettes()[scheme]

    assert contrast(colours[front], colours[back]) >= least


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

"""A run in words and as a picture."""

from xml.etree import ElementTree

import pytest
from benchmarks.plot import as_summary, as_svg
from benchmarks.report import as_markdown, describe_ratio, describe_value
from benchmarks.samples import Row, What

WHAT = What("lifecycle", "start", "s", "bare")
SPEED = What("chat", "tokens/s & more", "tokens/s", "peer", more_is_better=True)
ROWS = [
    Row(WHAT, "bare", (0.1, 0.1, 0.1), (0.1, 0.1, 0.1)),
    Row(WHAT, "local-ai", (0.2, 0.3, 0.4), (0.1, 0.1, 0.1)),
    Row(SPEED, "peer", (1234.5,), (1234.5,)),
    Row(SPEED, "local-ai", (617.25,), (1234.5,)),
]
MACHINE = {"date": "2026-01-02", "processor": "M4 <Max>"}


def test_the_table_says_medians_spread_and_ratios():
    text = as_markdown(ROWS, MACHINE, {"pm2": "there is no npm on this machine"})

    assert text == (
        "- date: 2026-01-02\n"
        "- processor: M4 <Max>\n\n"
        "## lifecycle\n\n"
        "| what | who | median | half of all between | beside the baseline |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| start | bare | 0.10 s | 0.10–0.10 | baseline |\n"
        "|  | local-ai | 0.30 s | 0.25–0.35 | 3.00× (2.50–3.50) |\n\n"
        "## chat\n\n"
        "| what | who | median | half of all between | beside the baseline |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| tokens/s & more | peer | 1,234 tokens/s |  | baseline |\n"
        "|  | local-ai | 617 tokens/s |  | 0.50× |\n\n"
        "Not measured, or not as meant:\n\n"
        "- pm2: there is no npm on this machine\n"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.0123 s"), (0.456, "0.46 s"), (12.34, "12.3 s"), (123.4, "123 s")]
)
def test_values_have_three_digits_that_count(value: float, text: str):
    assert describe_value(Row(WHAT, "x", (value,), ())) == text


def test_who_has_no_baseline_is_compared_with_nobody():
    assert describe_ratio(Row(WHAT, "x", (1.0,), ())) == ""


def test_the_picture_says_everything_in_words_too():
    picture = ElementTree.fromstring(as_svg(ROWS, MACHINE))

    names = {"s": "http://www.w3.org/2000/svg"}
    texts = ["".join(text.itertext()) for text in picture.iterfind("s:text", names)]
    title, described = (picture.findtext(f"s:{tag}", None, names) for tag in ("title", "desc"))
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby") == "title desc"
    assert title == "local-ai beside its peers"
    assert "tokens/s & more, local-ai: 617 tokens/s" in str(described)
    assert "0.30 s, 3.00× (2.50–3.50)" in texts
    assert "startlifecycle, less is better" in texts
    assert "tokens/s & morechat, more is better" in texts


def test_bars_are_as_long_as_their_values():
    picture = ElementTree.fromstring(as_svg(ROWS, MACHINE))

    bars = picture.findall("{http://www.w3.org/2000/svg}rect")[1:]
    widths = [float(bar.get("width", 0)) for bar in bars]
    assert widths[1] == pytest.approx(3 * widths[0], abs=0.1)
    assert widths[2] == pytest.approx(2 * widths[3], abs=0.1)
    assert [bar.get("class") for bar in bars] == ["other", "ours", "other", "ours"]


def test_the_summary_shows_chosen_questions_for_the_baseline_and_us_alone():
    ready = What("lifecycle", "start to model ready", "s", "engine alone")
    rows = [
        Row(ready, who, (1.0,), (1.0,)) for who in ("engine alone", "local-ai, Anthropic API", "local-ai")
    ]

    picture = as_summary([*ROWS, *rows], MACHINE)

    assert "engine alone" in picture
    assert "tokens/s & more" not in picture
    assert "Anthropic" not in picture

"""What two runs' ratios say has moved."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.compare import compare, main, missing


def run(
    ratio: float | None, *, around: float = 0.02, more: bool = False, what: str = "start"
) -> dict[str, Any]:
    quartiles = None if ratio is None else [ratio - around, ratio + around]
    row = {"suite": "s", "what": what, "who": "ours", "more_is_better": more}
    return {"rows": [{**row, "ratio": ratio, "ratio_quartiles": quartiles}]}


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        (run(1.0), run(1.5), [True]),
        (run(1.0), run(0.5), [False]),
        (run(1.0, more=True), run(0.5, more=True), [True]),
        (run(1.0, more=True), run(1.5, more=True), [False]),
        (run(1.0, around=0.4), run(1.5, around=0.4), []),
        (run(1.0, around=0), run(1.04, around=0), []),
        (run(None), run(1.5), []),
        (run(1.0, what="stop"), run(1.5), []),
    ],
    ids=[
        "slower is worse",
        "faster is better",
        "fewer tokens are worse",
        "more tokens are better",
        "within the spread",
        "too little to tell",
        "no baseline before",
        "not measured before",
    ],
)
def test_only_what_moved_beyond_its_spread_is_told(old, new, moved):
    assert [move.is_worse for move in compare(old, new)] == moved


def test_what_is_not_measured_any_more_is_told():
    assert missing(run(1.0, what="stop"), run(1.0)) == [("s", "stop", "ours")]


@pytest.mark.parametrize(
    ("new", "code", "said"),
    [
        (run(1.5), 1, "worse: s, start, ours: 1.00× (0.98–1.02) → 1.50× (1.48–1.52) of the baseline\n"),
        (run(0.5), 0, "better: s, start, ours: 1.00× (0.98–1.02) → 0.50× (0.48–0.52) of the baseline\n"),
        (run(1.0), 0, "nothing moved beyond its spread\n"),
    ],
    ids=["worse", "better", "the same"],
)
def test_the_exit_code_says_whether_something_became_worse(new, code, said, tmp_path: Path, capsys):
    for name, content in {"old": run(1.0), "new": new}.items():
        (tmp_path / name).write_text(json.dumps(content))

    assert main([str(tmp_path / "old"), str(tmp_path / "new")]) == code
    assert capsys.readouterr().out == said

"""Measure local-ai beside its peers in one run: `inv bench`, or `python -m benchmarks`.

Everything is asked in turns, so that all meet the same machine. Read the ratios: the seconds are this
machine's. Besides the tables, results.json, report.md, plot.svg and summary.svg are written to a folder.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NoReturn

from benchmarks.clock import say
from benchmarks.machine import describe_machine, load
from benchmarks.options import Options
from benchmarks.plot import as_summary, as_svg
from benchmarks.report import as_markdown
from benchmarks.samples import Samples, as_json

SUITES = ("cli", "lifecycle", "models", "chat", "gateway", "streams", "page", "several", "remembered")
_ALONE = ("gpu", "cluster")  # suites that are run by their names alone


def main() -> None:
    """Measure, print and write."""
    words = _words()
    samples = Samples()
    before, began = load(), time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    done = []
    gc.disable()  # ours, as timeit does: its pauses of up to 40 ms would be counted as theirs
    try:
        for name in words.only:
            suite = importlib.import_module(f"benchmarks.suites.{name}")
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                try:
                    suite.run(samples, Options(words.rounds, words.quick, Path(folder)))
                except Exception as exc:  # the other suites took minutes, too
                    traceback.print_exc()
                    samples.absent[name] = f"it broke off: {exc}"
            done.append(name)
            gc.collect()
    except KeyboardInterrupt:
        say("interrupted: what was measured until now follows")
    machine = describe_machine() | {
        "load": f"{before} before, {load()} after",
        "run": f"{words.rounds} rounds, {(time.monotonic() - began) / 60:.0f} min: {' '.join(done)}",
    }
    _write(samples, machine, words.out, as_json_text=words.json)


def _write(samples: Samples, machine: dict[str, str], out: Path, *, as_json_text: bool) -> None:
    rows = samples.rows()
    report = as_markdown(rows, machine, samples.absent)
    run = {"machine": machine, "absent": samples.absent, "rows": [as_json(row) for row in rows]}
    text = json.dumps(run, indent=2, ensure_ascii=False) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(text)
    (out / "report.md").write_text(report)
    (out / "plot.svg").write_text(as_svg(rows, machine))
    (out / "summary.svg").write_text(as_summary(rows, machine))
    sys.stdout.write(text if as_json_text else report)
    say(f"written: {out}/results.json, report.md, plot.svg, summary.svg")


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="inv bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", type=_suites, default=SUITES, help=f"of {','.join(SUITES + _ALONE)}")
    parser.add_argument("--rounds", type=int, help="rounds of each (3, or 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="one round: to see that it works")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="folder to write to")
    words = parser.parse_args()
    words.rounds = words.rounds or (1 if words.quick else 3)
    return words


def _interrupt(signal_number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _suites(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in SUITES + _ALONE]:
        raise argparse.ArgumentTypeError(f"no such suite: {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    main()

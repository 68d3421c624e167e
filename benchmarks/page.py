"""How soon the page is seen: first contentful paint in Chromium, beside a trivial answer of the same server.

    uv run python benchmarks/page.py [--url http://127.0.0.1:8080] [--runs 10] [--json]

Measures a running server. A fresh visit has an empty cache; a reload has the page's files. A new tab is left
alone for a moment first: Chromium still loads parts of its own window then, which is not the page's time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page, sync_playwright

_PAINT = (
    "() => new Promise(done => new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))"
    ".observe({type: 'paint', buffered: true}))"
)

_SETTLE_MS = 700


def main() -> None:
    """Measure and print."""
    options = _options()
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        raise SystemExit("no Chromium on this machine: nothing to measure with")
    flags = ["--disable-gpu", "--disable-background-networking"]
    flags += ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        samples = _measure(browser, options.url.rstrip("/"), options.runs)
        version = browser.version
        browser.close()
    medians = {name: statistics.median(values) for name, values in samples.items()}
    if options.json:
        print(json.dumps({"chromium": version, "median_ms": medians, "samples_ms": samples}, indent=2))
        return
    print(f"Chromium {version}, {time.strftime('%Y-%m-%d')}, medians of {options.runs} runs, interleaved\n")
    for name, values in samples.items():
        print(f"{name:24} {medians[name]:6.0f} ms   lowest {min(values):.0f}, highest {max(values):.0f}")


def _measure(browser: Browser, url: str, runs: int) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {"trivial, fresh": [], "page, fresh": [], "page, reload": []}
    for _ in range(runs):
        samples["trivial, fresh"].append(_fresh(browser, f"{url}/healthz", lambda page: None))
        samples["page, fresh"].append(_fresh(browser, url, lambda page: None))
        samples["page, reload"].append(_fresh(browser, url, lambda page: page.reload()))
    return samples


def _fresh(browser: Browser, url: str, then: Callable[[Page], object]) -> float:
    """Open in a context of its own, do something, and return the last first paint in milliseconds."""
    context = browser.new_context()
    page = context.new_page()
    page.wait_for_timeout(_SETTLE_MS)
    page.goto(url)
    page.wait_for_timeout(_SETTLE_MS)
    then(page)
    painted = float(page.evaluate(_PAINT))
    context.close()
    return painted


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""How soon the page is seen: first paint in Chromium, beside a trivial answer of the same server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from playwright.sync_api import Browser, Page, sync_playwright
from tests.tiny_model import make_tiny_model

from benchmarks.clock import free_port, say
from benchmarks.options import Options
from benchmarks.ours import make_ours, running
from benchmarks.samples import Samples, What

_TRIVIAL = "trivial answer, first visit"
PAINT = What("page", "opened to first paint", "ms", _TRIVIAL)
_PAINTED = (
    "() => new Promise(done => new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))"
    ".observe({type: 'paint', buffered: true}))"
)
_SETTLE_MS = 700


def run(samples: Samples, options: Options) -> None:
    """Open each in turns; a first visit has an empty cache, a second one the page's files."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        samples.absent["page"] = "there is no Chromium on this machine to see it with"
        return
    # Chromium refuses to start its sandbox as root, which is what containers run as.
    flags = ["--disable-gpu", "--disable-background-networking"] + ["--no-sandbox"] * (os.getuid() == 0)
    model = make_tiny_model(options.folder / "tiny")
    with (
        running(make_ours(options.folder / "page", free_port(), model)) as ours,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        for number in range(options.rounds):
            say(f"page {number + 1}/{options.rounds}")
            samples.add(PAINT, _TRIVIAL, _open(browser, f"{ours.url}/healthz", lambda page: None))
            samples.add(PAINT, "page, first visit", _open(browser, ours.url, lambda page: None))
            samples.add(PAINT, "page, again", _open(browser, ours.url, lambda page: page.reload()))
        browser.close()


def _open(browser: Browser, url: str, then: Callable[[Page], object]) -> float:
    """Open in a context of its own, do something, and return the last first paint in milliseconds.

    A new tab is left alone for a moment: Chromium still loads parts of its own window then.
    """
    context = browser.new_context()
    page = context.new_page()
    page.wait_for_timeout(_SETTLE_MS)
    page.goto(url)
    page.wait_for_timeout(_SETTLE_MS)
    then(page)
    painted = float(page.evaluate(_PAINTED))
    context.close()
    return painted

"""The page over a real server: real engine, real model, real browser, real crashes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.server import Server, end, free_port, wait_until
from tests.web.conftest import started

from local_ai.models.catalog import STARTER_ID

pytestmark = pytest.mark.integration

PATIENTLY = 90_000  # milliseconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, starter_model: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("s"), free_port())
    server.paths.models_dir.mkdir(parents=True)
    (server.paths.models_dir / STARTER_ID).symlink_to(starter_model)
    server.start()
    yield server
    end(server)


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    started(page)
    yield page
    context.close()


def test_one_enter_gets_a_real_answer(page: Page) -> None:
    page.keyboard.press("Enter")

    expect(page.locator(".message.assistant")).to_contain_text("Paris", timeout=PATIENTLY)
    page.get_by_text("System prompt and values").click()
    page.get_by_text("Anthropic", exact=True).first.click()
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".message.assistant .version")).to_have_text("2 of 2", timeout=PATIENTLY)
    expect(page.locator(".message.assistant")).to_contain_text("Paris", timeout=PATIENTLY)


def test_stop_frees_the_engine(page: Page, server: Server) -> None:
    page.get_by_label("Your message").fill("Tell a very long story about a lighthouse.")
    page.keyboard.press("Enter")
    expect(page.locator("#sentence")).to_contain_text("Busy: 1 answer running", timeout=PATIENTLY)

    page.keyboard.press("Escape")

    expect(page.locator("#sentence")).to_contain_text("Ready:", timeout=20_000)
    assert httpx.get(f"{server.url}/status.json").json()["engine"]["running"] == 0


def test_killed_engine_is_seen_and_comes_back(page: Page, server: Server) -> None:
    expect(page.locator("#sentence")).to_contain_text("Ready:", timeout=PATIENTLY)
    pid = httpx.get(f"{server.url}/status.json").json()["programs"][0]["pid"]

    os.kill(pid, signal.SIGKILL)

    # Not in which state: it may be back before the page asks again.
    expect(page.locator("[data-program=mlx-omni-server] .restarts")).to_have_text("1", timeout=10_000)
    page.get_by_label("Your message").fill("What is the capital of France?")
    page.keyboard.press("Enter")
    expect(page.locator(".message.assistant")).to_contain_text("Paris", timeout=PATIENTLY)
    expect(page.locator("#sentence")).to_contain_text("Ready:", timeout=20_000)


def test_killed_gateway_is_seen_and_comes_back(page: Page, server: Server) -> None:
    expect(page.locator("#sentence")).to_contain_text("Ready:", timeout=PATIENTLY)
    os.kill(httpx.get(f"{server.url}/healthz").json()["pid"], signal.SIGKILL)

    # Whether the page notices depends on when it asks: supervisord is back within two seconds.
    expect(page.locator("[data-program=welcome-page] .restarts")).to_have_text("1", timeout=30_000)
    expect(page.locator("#sentence")).to_contain_text("Ready:", timeout=30_000)


def test_model_is_unloaded_and_loaded_again_from_the_page(page: Page, server: Server) -> None:
    expect(page.locator("#sentence")).to_contain_text("Ready:", timeout=PATIENTLY)
    page.get_by_role("link", name="Models", exact=True).click()
    row = page.locator(f'#model-rows [data-id="{STARTER_ID}"]')

    expect(row.locator(".is-loaded")).to_be_visible(timeout=PATIENTLY)

    row.get_by_role("button", name="Unload").click()
    expect(row.locator(".is-loaded")).to_be_hidden(timeout=PATIENTLY)
    # It begins anew without a model, and for a moment says nothing.
    wait_until(lambda: (engine := engine_of(server)) and engine["model"] is None)

    row.get_by_role("button", name="Load").click()
    expect(row.locator(".is-loaded")).to_be_visible(timeout=PATIENTLY)
    wait_until(lambda: (engine := engine_of(server)) and engine["model"] == STARTER_ID)


def engine_of(server: Server) -> dict[str, Any] | None:
    found: dict[str, Any] | None = httpx.get(f"{server.url}/status.json").json()["engine"]
    return found


def test_page_and_list_recommend_the_same_model_beside_the_starter(page: Page, server: Server) -> None:
    best = httpx.get(f"{server.url}/models.json").json()["best"]

    listed = server.run("models.list")

    assert f"local-ai models pull {best}\n" in listed.stderr
    expect(page.locator("#guide")).to_contain_text(f"a good one is {best}")

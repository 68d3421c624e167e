"""The page's view of the models, in a real browser, with a hub of our own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from tests.fake_hub import FakeHub, run_hub
from tests.gateway.fakes import FakeSupervisord, make_model, make_test_state, run_engine, run_gateway
from tests.tiny_model import make_tiny_model
from tests.waits import scaled
from tests.web.conftest import Server, look_at, started
from tests.web.engine import ChatEngine

from local_ai.models.catalog import STARTER_ID
from local_ai.models.recommended import recommended_models

pytestmark = pytest.mark.integration

NAME = "org/tiny"
PATIENTLY = 1000 * scaled(20)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("hub") / "tiny", seed=3)


@pytest.fixture
def hub(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with run_hub() as hub:
        hub.models[NAME] = tiny
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@contextmanager
def open_models(browser: Browser, server: Server, *, scripts: bool = True) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    page.goto(f"{server.url}/#models")
    yield page
    context.close()


def row(page: Page, name: str, *, of: str = "model-rows") -> Locator:
    return page.locator(f'#{of} [data-id="{name}"]')


def test_models_are_shown_with_what_holds_them_back(page: Page, server: Server) -> None:
    snapshot = server.state.paths.hub_cache / "models--org--half/snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    large = make_model(server.state.paths.models_dir / "large") / "model.safetensors"
    with large.open("wb") as weights:
        weights.truncate(900_000_000_000)

    look_at(page, "Models")

    expect(row(page, "tiny").locator(".figures")).to_have_text(
        re.compile(r"0 MB\s+context 2,048\s+tools"), use_inner_text=True
    )
    expect(row(page, "tiny").locator(".badge:visible")).to_have_text("★default")
    expect(row(page, "large").locator(".badge:visible")).to_have_text("✕too large")
    expect(row(page, "large").locator(".trouble")).to_contain_text("its weights need 900.0 GB of memory")
    half = row(page, "org/half", of="broken-rows")
    expect(half).to_contain_text("no weights. To fix it: local-ai models pull org/half")
    expect(half.get_by_role("button", name="Download what is missing")).to_be_visible()


def test_download_shows_its_progress_and_goes_on_after_a_cancel(
    page: Page, server: Server, hub: FakeHub
) -> None:
    hub.cut_after, hub.stall = [100_000], threading.Event()
    look_at(page, "Models")
    page.get_by_label("Name on the hub").fill(NAME)
    page.get_by_role("button", name="Download", exact=True).click()

    download = row(page, NAME, of="download-rows")
    expect(download.locator(".amount")).to_be_visible(timeout=PATIENTLY)
    expect(download.locator(".amount")).to_have_text("0 MB of 1 MB")
    expect(download.locator("progress")).not_to_have_js_property("value", 0, timeout=PATIENTLY)
    assert float(download.locator("progress").evaluate("bar => bar.value")) < 1
    download.get_by_role("button", name="Cancel").click()
    expect(download.locator(".cancelled")).to_be_visible(timeout=PATIENTLY)
    hub.stall.set()
    download.get_by_role("button", name="Download again").click()

    expect(download.locator(".here")).to_be_visible(timeout=PATIENTLY)
    expect(row(page, NAME)).to_contain_text("context 4,096")
    assert ("model.safetensors", "bytes=100000-") in hub.transfers


def test_download_that_fails_says_why(page: Page, hub: FakeHub) -> None:
    look_at(page, "Models")
    page.get_by_label("Name on the hub").fill("org/nothing")
    page.get_by_label("Name on the hub").press("Enter")

    trouble = row(page, "org/nothing", of="download-rows").locator(".trouble")

    expect(trouble).to_contain_text("the hub shows no model named 'org/nothing'", timeout=PATIENTLY)
    expect(trouble).to_contain_text(f"To fix it: look for the name at {hub.url}/models")


def test_removal_is_asked_about_first(page: Page, server: Server) -> None:
    look_at(page, "Models")
    remove = row(page, "crash").get_by_role("button", name="Remove")

    remove.click()
    expect(page.get_by_role("dialog", name="Remove crash?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert (server.state.paths.models_dir / "crash").exists()
    remove.click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()

    expect(row(page, "crash")).to_have_count(0)
    expect(page.locator("#models-done")).to_contain_text("crash is removed")
    assert not (server.state.paths.models_dir / "crash").exists()


def test_default_is_written_into_the_settings_with_their_comments(page: Page, server: Server) -> None:
    file = server.state.paths.config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("# mine\n[server]\nport = 8080 # as ever\n")
    look_at(page, "Models")

    row(page, "nope").get_by_role("button", name="Make default").click()

    expect(row(page, "nope").locator(".is-next")).to_be_visible()
    expect(page.locator("#models-done")).to_contain_text("nope is the default from the next start on")
    written = file.read_text()
    assert written.startswith("# mine\n[server]\nport = 8080 # as ever\n")
    assert 'path = "nope"' in written
    row(page, "nope").get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(
        "it is the default model of the settings"
    )


def test_model_is_pinned_and_unpinned(page: Page) -> None:
    look_at(page, "Models")

    row(page, "calls").get_by_role("button", name="Pin calls").click()

    expect(row(page, "calls").locator(".badge:visible")).to_have_text(["●in memory", "▪pinned"])
    expect(page.locator("#models-done")).to_contain_text("calls stays in memory")
    row(page, "calls").get_by_role("button", name="Unpin calls").click()
    expect(row(page, "calls").locator(".is-pinned")).to_be_hidden()
    expect(row(page, "calls").get_by_role("button", name="Pin calls", exact=True)).to_be_visible()


def test_view_works_without_javascript(browser: Browser, server: Server, hub: FakeHub) -> None:
    server.start_gateway()
    with open_models(browser, server, scripts=False) as page:
        row(page, "nope").get_by_role("button", name="Make default").click()
        expect(row(page, "nope").locator(".is-next")).to_be_visible()
        row(page, "crash").get_by_role("button", name="Remove").click()
        expect(page.get_by_role("heading", name="Remove crash?")).to_be_visible()
        page.get_by_role("button", name="Remove").click()
        expect(row(page, "crash")).to_have_count(0)
        page.get_by_label("Name on the hub").fill(NAME)
        page.get_by_role("button", name="Download", exact=True).click()
        expect(row(page, NAME, of="download-rows")).to_be_visible()
        assert page.url == f"{server.url}/#models"
        row(page, "nope").get_by_role("button", name="Remove").click()
        expect(page.locator("dd").first).to_have_text("it is the default model of the settings (model.path)")
        page.get_by_role("link", name="Back to the models").click()
        expect(row(page, "nope")).to_be_visible()


@contextmanager
def only_starter(root: Path, **settings: object) -> Iterator[Server]:
    """A server with nothing but the starter model."""
    state = make_test_state(root, **settings)
    make_model(state.paths.models_dir / STARTER_ID)
    with (
        FakeSupervisord(state.paths.supervisor_socket).run() as supervisord,
        run_engine(ChatEngine(), state.paths.engine_socket) as engine,
        run_gateway(state) as gateway,
    ):
        yield Server(state, engine, supervisord, ExitStack(), gateway)


def test_guide_gets_a_better_model_and_can_be_dismissed(
    browser: Browser, tmp_path: Path, hub: FakeHub
) -> None:
    for each in recommended_models():
        hub.models[each.name] = hub.models[NAME]
    hub.cut_after, hub.stall = [100_000], threading.Event()
    with only_starter(tmp_path) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        started(page)
        guide = page.locator("#guide")
        expect(guide).to_contain_text("You are talking to a very small starter model. With this machine’s ")
        guide.get_by_role("button", name="Not now").click()
        expect(guide).to_be_hidden()
        page.reload()
        started(page)
        expect(guide).to_be_hidden()
        page.evaluate("localStorage.clear()")
        page.reload()
        started(page)

        guide.get_by_role("button", name="Get it").click()

        expect(page.locator("#downloads progress")).to_be_visible(timeout=PATIENTLY)
        assert page.url.endswith("/#models")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        hub.stall.set()
        expect(page.locator("#suggestions .is-here:visible")).to_have_text("here", timeout=PATIENTLY)
        look_at(page, "Chat")
        expect(guide).to_be_hidden()
        context.close()


def test_changes_need_the_key_where_there_are_keys(browser: Browser, tmp_path: Path) -> None:
    with only_starter(tmp_path, server={"api_keys": ["k" * 32]}) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        started(page)
        look_at(page, "Models")
        row(page, STARTER_ID).get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("it brings no API key")
        look_at(page, "Chat")
        page.get_by_label("API key").fill("k" * 32)
        look_at(page, "Models")

        row(page, STARTER_ID).get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()

        expect(row(page, STARTER_ID)).to_have_count(0)
        context.close()

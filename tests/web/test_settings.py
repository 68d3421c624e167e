"""The settings on the page, in a real browser: with scripts and without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from tests.web.conftest import Server, look_at, started

from local_ai.settings.schema import REVEAL, LocalAISettings

pytestmark = pytest.mark.integration

FILE = "# mine\n[generation] # here\nmax_tokens = 300 # why\n\n[gateway]\nmax_queue = 9\n"


def write(server: Server, text: str) -> Path:
    file = server.state.paths.config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def field(page: Page, key: str) -> Locator:
    return page.locator(f'[id="set-{key}"]')


def about(page: Page, key: str) -> Locator:
    return page.locator(f'[id="about-{key}"]')


@pytest.fixture(params=["scripts", "no scripts"])
def settings(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Page]:
    """The settings, opened as a person does."""
    write(server, FILE)
    server.start_gateway()
    context = browser.new_context(java_script_enabled=request.param == "scripts")
    page = context.new_page()
    page.goto(server.url)
    if request.param == "scripts":
        started(page)
        look_at(page, "Settings")
    else:
        page.get_by_role("link", name="Every setting").click()
    expect(page.locator("#settings-form")).to_be_visible()
    yield page
    context.close()


def save(page: Page) -> None:
    page.get_by_role("button", name="Save and apply").click()


def value_of(server: Server, key: str) -> Any:
    answer = httpx.get(f"{server.url}/settings.json").raise_for_status()
    return next(row["value"] for row in answer.json()["settings"] if row["key"] == key)


def test_a_value_is_changed_in_the_file_and_in_force(settings: Page, server: Server) -> None:
    file = server.state.paths.config_file
    expect(about(settings, "generation.max_tokens")).to_contain_text(f"Default: 4096. From: {file}.")
    expect(about(settings, "server.host")).to_contain_text("From: default. Needs a restart.")
    expect(field(settings, "server.host")).to_have_count(0)

    field(settings, "generation.max_tokens").fill("123")
    field(settings, "generation.thinking").select_option("true")
    save(settings)

    expect(settings.locator("#settings-said")).to_contain_text("generation.max_tokens, generation.thinking")
    assert file.read_text() == (
        "# mine\n[generation] # here\nmax_tokens = 123 # why\nthinking = true\n\n[gateway]\nmax_queue = 9\n"
    )
    assert value_of(server, "generation.max_tokens") == 123
    expect(field(settings, "generation.max_tokens")).to_have_value("123")


def test_a_wrong_value_is_told_at_its_field_and_nothing_is_written(settings: Page, server: Server) -> None:
    field(settings, "generation.max_tokens").fill("many")
    field(settings, "generation.temperature").fill("3")
    field(settings, "gateway.max_queue").fill("20")
    save(settings)

    expect(settings.locator('[id="wrong-generation.max_tokens"]')).to_have_text(
        "must be a whole number, got 'many'"
    )
    expect(settings.locator('[id="wrong-generation.temperature"]')).to_have_text("must be 0–2, got 3")
    expect(field(settings, "generation.max_tokens")).to_have_value("many")
    expect(field(settings, "generation.max_tokens")).to_have_attribute("aria-invalid", "true")
    assert server.state.paths.config_file.read_text() == FILE
    assert settings.evaluate("document.documentElement.scrollWidth <= innerWidth")
    field(settings, "generation.max_tokens").fill("5")
    field(settings, "generation.temperature").fill("")
    save(settings)
    expect(settings.locator("#settings-said")).to_contain_text("gateway.max_queue")
    assert value_of(server, "gateway.max_queue") == 20


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360), ("dark", 820)])
def test_axe_finds_nothing_in_the_form_of_its_own_page(
    browser: Browser, server: Server, scheme: Literal["light", "dark"], width: int
) -> None:
    write(server, FILE)
    server.start_gateway()
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(f"{server.url}/settings")
    field(page, "generation.max_tokens").fill("many")
    save(page)
    expect(page.locator("[aria-invalid]")).to_have_count(1)

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_what_somebody_else_wrote_meanwhile_is_not_lost(settings: Page, server: Server) -> None:
    write(server, "# theirs\n[generation]\nmax_tokens = 77\ntop_k = 5\n")
    field(settings, "generation.max_tokens").fill("123")
    field(settings, "generation.min_p").fill("0.5")
    save(settings)

    expect(settings.locator('[id="wrong-generation.max_tokens"]')).to_contain_text(
        "was changed meanwhile, to 77"
    )
    assert "top_k = 5" in server.state.paths.config_file.read_text()
    save(settings)

    expect(settings.locator("#settings-said")).to_contain_text("Saved, and in force now")
    assert server.state.paths.config_file.read_text() == (
        "# theirs\n[generation]\nmax_tokens = 123\ntop_k = 5\nmin_p = 0.5\n"
    )
    assert value_of(server, "generation.top_k") == 5


def test_settings_are_asked_for_and_sent_with_the_key(browser: Browser, server: Server) -> None:
    settings = server.state.settings.model_dump(context=REVEAL)
    settings["server"]["api_keys"] = ["first-key-1"]
    server.state = replace(server.state, settings=LocalAISettings.model_validate(settings))
    write(server, '[server]\napi_keys = ["first-key-1"]\n')
    server.start_gateway()
    for has_scripts in (True, False):
        context = browser.new_context(java_script_enabled=has_scripts)
        page = context.new_page()
        page.goto(f"{server.url}/#settings" if has_scripts else f"{server.url}/settings")
        assert "first-key-1" not in page.content()
        field(page, "generation.top_k").fill("7" if has_scripts else "8")

        save(page)
        expect(page.locator("body")).to_contain_text("with a key" if has_scripts else "it brings no API key")
        if has_scripts:
            look_at(page, "Chat")
            page.get_by_label("API key").fill("first-key-1")
            look_at(page, "Settings")
        else:
            page.go_back()
            page.get_by_label("API key", exact=True).fill("first-key-1")
        field(page, "generation.top_k").fill("7" if has_scripts else "8")
        save(page)

        expect(page.locator("#settings-said")).to_contain_text("generation.top_k")
        context.close()

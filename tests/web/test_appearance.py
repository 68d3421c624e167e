"""Light, dark, or as the system; the language: in a real browser, with and without scripts."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.web.conftest import Server, answer_of, look_at, started

pytestmark = pytest.mark.integration

GROUND = {"light": "rgb(245, 246, 244)", "dark": "rgb(18, 22, 21)"}


def ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_colours_follow_the_choice_before_any_script_and_the_system_again(page: Page, server: Server) -> None:
    look_at(page, "Settings")
    expect(page.get_by_role("radio", name="As the system")).to_be_checked()

    page.get_by_text("Dark", exact=True).click()

    assert ground(page) == GROUND["dark"]
    page.context.route("**/*.js", lambda route: route.abort())  # the gateway alone says how it is painted
    page.reload()
    assert ground(page) == GROUND["dark"]
    expect(page.get_by_role("radio", name="Dark", exact=True)).to_be_checked()
    for path in ("docs", "settings", "models/remove?model=tiny", "models/remove?model=nobody"):
        page.goto(f"{server.url}/{path}")
        assert ground(page) == GROUND["dark"]
    page.context.unroute("**/*.js")
    page.goto(server.url)
    started(page)
    look_at(page, "Settings")
    page.get_by_text("As the system", exact=True).click()
    page.emulate_media(color_scheme="light")
    assert ground(page) == GROUND["light"]
    page.emulate_media(color_scheme="dark")
    assert ground(page) == GROUND["dark"]


def test_colours_and_language_are_chosen_without_javascript(browser: Browser, server: Server) -> None:
    server.start_gateway()
    context = browser.new_context(java_script_enabled=False, color_scheme="dark")
    page = context.new_page()
    page.goto(server.url)

    page.get_by_text("Light", exact=True).click()
    page.get_by_text("Deutsch", exact=True).click()
    page.get_by_role("button", name="Use", exact=True).click()

    expect(page).to_have_url(f"{server.url}/#settings")
    expect(page.get_by_role("radio", name="Hell", exact=True)).to_be_checked()
    expect(page.get_by_role("radio", name="Deutsch")).to_be_checked()
    # Playwright runs expressions where pages may not.
    assert ground(page) == GROUND["light"]
    context.close()


def test_page_speaks_the_language_of_the_browser_and_the_one_that_is_chosen(
    browser: Browser, server: Server
) -> None:
    gateway = server.start_gateway()
    context = browser.new_context(locale="de-CH")
    page = context.new_page()
    page.goto(server.url)

    expect(page.get_by_label("Ihre Nachricht")).to_be_focused()
    page.keyboard.press("Enter")
    expect(answer_of(page).locator(".figures")).to_contain_text("auf diesem Rechner")
    expect(page.locator("#rest")).to_have_attribute("lang", "en")
    assert_clean(page)
    look_at(page, "Modelle")
    expect(page.get_by_role("heading", name="Modelle auf diesem Rechner")).to_be_visible()
    expect(page.get_by_role("button", name="Laden calls", exact=True)).to_be_visible()
    expect(page.locator('#models form[action="/models/default"]')).not_to_have_count(0)
    assert_clean(page)
    look_at(page, "Server")
    expect(page.locator("#queue-words")).to_contain_text("von höchstens")
    expect(page.locator("[data-program=mlx-omni-server] .state")).to_have_text("läuft")
    expect(page.locator("[data-program=mlx-omni-server] .badge")).to_have_text("✓bereit")
    assert_clean(page)
    look_at(page, "Einstellungen")
    expect(page.get_by_role("radio", name="Wie der Browser")).to_be_checked()
    expect(page.get_by_role("button", name="Speichern und anwenden")).to_be_visible()
    assert_clean(page)
    for path, heading in (("docs", "API von local-ai"), ("models/remove?model=tiny", "tiny entfernen?")):
        page.goto(f"{server.url}/{path}")
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", "de")
    page.goto(f"{server.url}/#settings")

    page.get_by_text("English", exact=True).click()

    expect(page.get_by_role("radio", name="English")).to_be_checked()
    expect(page.get_by_role("heading", name="Appearance")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("button", name="Save and apply")).to_be_visible()
    look_at(page, "Chat")
    expect(page.get_by_label("Your message")).to_be_visible()
    page.context.clear_cookies()
    page.reload()
    expect(page.get_by_label("Ihre Nachricht")).to_be_visible()
    gateway.close()
    expect(page.locator("#rest")).to_contain_text("das Gateway antwortet seit")
    expect(page.locator("#rest")).to_have_attribute("lang", "de")
    context.close()


def test_language_changes_once_the_answer_that_runs_has_ended(page: Page, server: Server) -> None:
    page.get_by_label("Model", exact=True).select_option("endless")
    page.get_by_label("Your message").press("Enter")
    expect(answer_of(page)).to_contain_text("more")

    look_at(page, "Settings")
    page.get_by_text("Deutsch", exact=True).click()
    expect(page.locator("#language-waits")).to_be_visible()
    server.engine.release.set()

    expect(page.locator("html")).to_have_attribute("lang", "de")
    look_at(page, "Chat")
    expect(answer_of(page).locator(".figures")).to_contain_text("on this machine")


def assert_clean(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()

"""Light, dark, or as the system: in a real browser, with and without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.web.conftest import Server, look_at, started

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


def test_colours_are_chosen_without_javascript(browser: Browser, server: Server) -> None:
    server.start_gateway()
    context = browser.new_context(java_script_enabled=False, color_scheme="dark")
    page = context.new_page()
    page.goto(server.url)

    page.get_by_text("Light", exact=True).click()
    page.get_by_role("button", name="Use", exact=True).click()

    expect(page).to_have_url(f"{server.url}/#settings")
    expect(page.get_by_role("radio", name="Light", exact=True)).to_be_checked()
    # Playwright runs expressions where pages may not.
    assert ground(page) == GROUND["light"]
    context.close()

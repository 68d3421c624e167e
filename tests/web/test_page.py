"""The page in a real browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.gateway.fakes import FakeSupervisord, make_model, make_test_state, run_engine, run_gateway
from tests.server import wait_until
from tests.waits import NO_TLS
from tests.web.conftest import ANSWER_END, Server, answer_of, ask, look_at, started
from tests.web.engine import REUSED, ChatEngine

from local_ai.gateway.web.network_address import network_url, qr_code
from local_ai.supervision.render import template_dir

pytestmark = pytest.mark.integration


BELOW = "document.documentElement.scrollHeight - scrollY - document.documentElement.clientHeight"


def ask_through(page: Page, family: str) -> None:
    page.locator(".options").evaluate("options => options.open = true")
    page.get_by_text(family, exact=True).first.click()


def test_first_visit_says_how_it_is_and_one_enter_gets_an_answer(page: Page, server: Server) -> None:
    expect(page.locator("#sentence")).to_contain_text(
        f"Ready: tiny answers at 127.0.0.1:{server.state.settings.server.port}"
    )

    page.keyboard.press("Enter")

    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)
    expect(answer_of(page)).to_contain_text("The capital of France is Paris.")
    assert server.engine.requests[0]["messages"] == [
        {"role": "user", "content": "What is the capital of France?"}
    ]


def test_question_sent_before_the_last_conversation_is_shown_is_answered_in_it(
    page: Page, server: Server
) -> None:
    ask(page, "the first")
    page.add_init_script("""
        const open = IDBFactory.prototype.open;
        IDBFactory.prototype.open = function (...words) {
          queueMicrotask(() => {
            document.querySelector("#prompt").value = "the second";
            document.querySelector("#composer").requestSubmit();
          });
          IDBFactory.prototype.open = open;
          return open.apply(this, words);
        };
    """)

    page.reload()

    expect(page.locator(".message.user")).to_have_count(2)
    expect(page.locator(".message.user").last).to_contain_text("the second")
    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)
    expect(page.get_by_label("Your message")).to_have_value("")


def test_state_is_painted_before_the_rest_and_waits_for_no_file(page: Page) -> None:
    largest = """() => new Promise((resolve) => {
      const told = (list) => list.getEntries().find(({ element }) => element?.closest("#empty"));
      const tell = (list) => told(list) && resolve(told(list).startTime);
      new PerformanceObserver(tell).observe({ type: "largest-contentful-paint", buffered: true });
    })"""

    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")

    assert first < page.evaluate(largest)
    files = "performance.getEntriesByType('resource').map((each) => each.renderBlockingStatus)"
    assert set(page.evaluate(files)) == {"non-blocking"}


def test_markdown_is_shown_as_such_and_can_do_nothing(page: Page, server: Server) -> None:
    page.keyboard.press("Enter")
    expect(answer_of(page).locator(".figures")).not_to_be_empty()

    text = answer_of(page).locator(".text")

    expect(text.locator("strong")).to_have_text("Paris")
    expect(text.locator("pre code")).to_have_text("print('Paris')")
    expect(text.locator("li")).to_have_text(["one", "two"])
    expect(text.locator("img")).to_have_count(0)
    expect(text.locator("a")).to_have_text(["good"])
    expect(text).to_contain_text('<img src=x onerror="alert(1)">')


def test_same_question_goes_through_the_other_family(page: Page, server: Server) -> None:
    page.keyboard.press("Enter")
    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)

    ask_through(page, "Anthropic")
    page.get_by_role("button", name="Ask again").click()

    expect(answer_of(page).locator(".version")).to_have_text("2 of 2")
    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)
    first, second = server.engine.requests
    assert (first["path"], second["path"]) == ("/v1/chat/completions", "/anthropic/v1/messages")
    assert first["messages"] == second["messages"]


@pytest.mark.parametrize("family", ["OpenAI", "Anthropic"])
def test_an_answer_tells_how_much_of_its_prompt_was_reused(page: Page, server: Server, family: str) -> None:
    ask_through(page, family)
    page.get_by_label("Your message").press("Enter")
    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)

    page.get_by_role("button", name="Ask again").click()

    expect(answer_of(page).locator(".figures")).to_contain_text(f" s · reused {REUSED} · on this machine")


def test_values_and_system_prompt_are_sent(page: Page, server: Server) -> None:
    page.get_by_text("System prompt and values").click()
    page.get_by_label("System prompt", exact=True).fill("Be brief.")
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Min p").fill("0.05")
    page.get_by_label("Top k").fill("40")
    page.get_by_label("Token limit").fill("7")
    page.get_by_role("button", name="Send").click()
    expect(answer_of(page).locator(".figures")).not_to_be_empty()

    sent = server.engine.requests[0]

    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (sent["temperature"], sent["max_tokens"]) == (0.5, 7)
    assert (sent["min_p"], sent["top_k"]) == (0.05, 40)
    page.get_by_text("Anthropic", exact=True).first.click()
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".message.assistant .version")).to_have_text("2 of 2")
    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)
    assert (server.engine.requests[1]["min_p"], server.engine.requests[1]["top_k"]) == (0.05, 40)


def test_server_with_keys_is_asked_with_the_one_that_is_entered(browser: Browser, tmp_path: Path) -> None:
    state = make_test_state(tmp_path, server={"api_keys": ["k" * 32]})
    make_model(state.paths.models_dir / "tiny")
    with (
        FakeSupervisord(state.paths.supervisor_socket).run(),
        run_engine(ChatEngine(), state.paths.engine_socket),
        run_gateway(state) as gateway,
    ):
        page = browser.new_page()
        page.goto(gateway.url)
        started(page)
        page.get_by_label("Your message").press("Enter")
        expect(answer_of(page).locator(".error")).to_contain_text("it brings no API key")
        expect(page.locator("#snippet-curl")).to_contain_text("Authorization: Bearer YOUR_KEY")

        page.get_by_label("API key").fill("k" * 32)
        page.get_by_role("button", name="Ask again").click()

        expect(answer_of(page)).to_contain_text("Paris")
        assert "kkkk" not in page.evaluate("JSON.stringify(localStorage)")
        page.close()


@pytest.mark.parametrize("how", ["Escape", "button"])
def test_stop_ends_the_answer_and_frees_the_engine(page: Page, server: Server, how: str) -> None:
    page.get_by_label("Model", exact=True).select_option("endless")
    page.get_by_label("Your message").press("Enter")
    expect(answer_of(page)).to_contain_text("more more")

    if how == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")

    expect(answer_of(page).locator(".figures")).to_contain_text("stopped")
    assert server.engine.cancelled.wait(5)
    expect(page.get_by_label("Your message")).to_be_focused()


@pytest.mark.parametrize("family", ["OpenAI", "Anthropic"])
def test_unknown_model_says_what_to_do(page: Page, family: str) -> None:
    ask_through(page, family)
    page.get_by_label("Model", exact=True).select_option("nope")
    page.get_by_label("Your message").press("Enter")

    expect(answer_of(page).locator(".error")).to_have_text(
        'no model named "nope". To fix it: use one of: tiny'
    )
    expect(answer_of(page).locator(".text")).to_be_hidden()


def test_engine_that_dies_in_the_middle_keeps_what_it_said_and_says_why(page: Page) -> None:
    page.get_by_label("Model", exact=True).select_option("crash")
    page.get_by_label("Your message").press("Enter")

    expect(answer_of(page).locator(".text")).to_contain_text("The")
    expect(answer_of(page).locator(".error")).to_contain_text("the engine ended before its answer was whole")


def test_newest_answer_stays_in_sight(page: Page) -> None:
    page.get_by_label("Model", exact=True).select_option("nope")
    for number in range(1, 5):
        page.get_by_label("Your message").fill("\n".join(["a long question"] * 6))
        page.get_by_label("Your message").press("Enter")
        expect(page.locator(".message.assistant .error")).to_have_count(number)
        expect(answer_of(page).locator(".error")).not_to_be_empty()

        expect(answer_of(page).get_by_role("button", name="Ask again")).to_be_in_viewport()

    assert page.evaluate(BELOW) <= 1


def test_command_that_mends_it_can_be_copied(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    server.supervisord.states["mlx-omni-server"] = "STOPPED"

    page.get_by_role("button", name="Copy the command").click()

    expect(page.locator("#announce")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "local-ai server start"


def test_models_that_are_gone_are_gone_from_the_picker(page: Page, server: Server) -> None:
    _remove_models(server.state.paths.models_dir)

    expect(page.locator("#model option")).to_have_text(["no model found"])
    expect(page.locator("#fix")).to_contain_text("set model.path in config.toml")
    expect(page.locator("#snippet-curl")).to_contain_text('"model": "MODEL"')


def test_value_that_cannot_be_sent_is_marked_and_not_sent(page: Page, server: Server) -> None:
    page.get_by_text("System prompt and values").click()
    page.get_by_label("Temperature").fill("7")
    page.get_by_text("System prompt and values").click()
    page.get_by_label("Your message").press("Enter")

    expect(page.locator("#invalid")).to_contain_text("Temperature: ")
    expect(page.get_by_label("Temperature")).to_be_focused()
    assert server.engine.requests == []
    page.get_by_label("Temperature").fill("0.7")
    ask(page, "Now?")
    expect(page.locator("#invalid")).to_be_hidden()


def test_code_has_its_language_colours_and_a_copy_button(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    ask(page, "In Python?")

    expect(page.locator(".code figcaption span")).to_have_text("python")
    expect(page.locator(".code .hljs-string")).to_have_text("'Paris'")
    page.get_by_role("button", name="Copy this python").click()

    expect(page.locator("#announce")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "print('Paris')"


def test_views_are_one_click_away_and_the_state_is_on_each(page: Page) -> None:
    for view, shown in {"Server": "#programs", "Use it from…": "#snippet-curl", "Chat": "#composer"}.items():
        look_at(page, view)
        expect(page.locator(shown)).to_be_in_viewport()
        expect(page.locator("#sentence")).to_be_in_viewport()
        expect(page.locator(".view:visible")).to_have_count(1)


def test_composer_stays_in_sight_and_only_the_page_scrolls(browser: Browser, server: Server) -> None:
    server.start_gateway()
    page = browser.new_page(viewport={"width": 360, "height": 640})
    page.goto(server.url)
    started(page)
    for number in range(3):
        ask(page, "a long question\n" * 6 + str(number))
    page.reload()
    started(page)
    expect(answer_of(page).locator(".code")).to_be_visible()
    assert page.evaluate(BELOW) <= 1
    page.evaluate("scrollTo(0, 0)")

    expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    expect(page.locator("#sentence")).to_be_in_viewport()
    scrolls = """() => [...document.querySelectorAll('#chat *')].filter(node =>
      node.checkVisibility() && /auto|scroll/.test(getComputedStyle(node).overflowY)
      && node.scrollHeight > node.clientHeight + 1 && !node.matches('textarea, pre'))
      .map(node => node.id || node.className)"""
    assert page.evaluate(scrolls) == []
    page.get_by_role("button", name="Conversations").click()
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#conversations")).to_be_hidden()
    page.close()


def test_last_requests_are_listed_without_their_words(page: Page) -> None:
    ask(page, "What is the capital of France?")

    look_at(page, "Server")

    row = page.locator("#ended-rows tr").first
    expect(row.locator(".client")).to_have_text("browser")
    expect(row.locator(".asked")).to_have_text("tiny")
    expect(row.locator(".outcome")).to_have_text("200, streamed")
    expect(page.locator("#activity")).not_to_contain_text("France")


def test_snippets_ask_what_was_asked_here(page: Page) -> None:
    ask(page, 'Who\'s "Ada"?')

    look_at(page, "Use it from…")

    expect(page.locator("#snippet-curl")).to_contain_text(r'''"content": "Who'\''s \"Ada\"?"''')
    expect(page.locator("#snippet-openai")).to_contain_text(r'''"content": "Who's \"Ada\"?"''')


def test_question_asked_while_the_engine_loads_waits_and_is_answered(page: Page, server: Server) -> None:
    server.engine.state = "loading"
    expect(page.locator("#sentence")).to_contain_text("Starting: the engine is loading")

    page.get_by_label("Your message").press("Enter")
    server.engine.state = "ready"

    expect(answer_of(page)).to_contain_text("Paris", timeout=15_000)


@contextmanager
def requests_in_line(server: Server, *, most: int) -> Iterator[None]:
    """Have one request run and others wait; when the engine is released, all of them end."""
    body = {"model": "endless", "stream": True, "messages": [{"role": "user", "content": "more"}]}
    url = f"{server.url}/v1/chat/completions"
    threads = [
        threading.Thread(target=httpx.post, args=(url,), kwargs={"json": body, "timeout": 60}, daemon=True)
        for _ in range(most)
    ]
    for count, thread in enumerate(threads, 1):
        thread.start()
        wait_until(partial(_has_requests, server, count))
    yield
    server.engine.release.set()
    for thread in threads:
        thread.join(20)


def _has_requests(server: Server, count: int) -> bool:
    queue = httpx.get(f"{server.url}/status.json", verify=NO_TLS).json()["queue"]
    return len(queue["requests"]) == count


def test_requests_are_shown_while_there_are_any(browser: Browser, small_server: Server) -> None:
    page = browser.new_page()
    page.goto(small_server.url)
    started(page)
    look_at(page, "Server")
    expect(page.locator("#no-requests")).to_be_visible()

    with requests_in_line(small_server, most=3):
        expect(page.locator("#request-rows .badge")).to_have_text(["▸running", "…waiting", "…waiting"])
        expect(page.locator("#request-rows .place")).to_have_text(["–", "1", "2"])
        expect(page.locator("#request-rows .asked")).to_have_text(["endless"] * 3)
        expect(page.locator("#queue-words")).to_contain_text(
            "1 of at most 1 running, 2 of at most 512 waiting; the longest for"
        )

    expect(page.locator("#no-requests")).to_be_visible()
    expect(page.locator("#request-rows tr")).to_have_count(0)
    page.close()


def test_requests_are_shown_without_javascript(browser: Browser, small_server: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    with requests_in_line(small_server, most=2):
        page.goto(small_server.url)
        expect(page.locator("#request-rows .badge")).to_have_text(["▸running", "…waiting"])
        expect(page.locator("#request-rows .path")).to_have_text(["/v1/chat/completions"] * 2)
        expect(page.locator("#queue-words")).to_contain_text("1 of at most 1 running, 1 of at most 512")

    context.close()


@pytest.mark.parametrize("family", ["OpenAI", "Anthropic"])
def test_question_that_waits_shows_its_place(browser: Browser, small_server: Server, family: str) -> None:
    page = browser.new_page()
    page.goto(small_server.url)
    started(page)
    ask_through(page, family)

    with requests_in_line(small_server, most=2):
        page.get_by_label("Your message").press("Enter")
        expect(answer_of(page).locator(".figures")).to_have_text("waiting, 1 before you")
        expect(page.locator("#announce")).to_have_text("Your question is waiting, 1 before you")

    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)
    page.close()


def test_marked_model_is_shown_with_its_reason(browser: Browser, small_server: Server) -> None:
    assert small_server.gateway
    small_server.gateway.context.forwarding.quarantine.isolate("/v1/chat/completions", b"{}", "crash")
    reason = "crash is marked: the engine ended twice on one of its requests."
    page = browser.new_page()
    page.goto(small_server.url)
    started(page)

    look_at(page, "Server")
    expect(page.locator("#marked")).to_contain_text("the engine ended twice on one of its requests (since")
    look_at(page, "Chat")
    expect(page.locator("#model option[value=crash]")).to_have_text("crash (marked)")
    expect(page.locator("#model-mark")).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("crash")
    expect(page.locator("#model-mark")).to_have_text(reason)
    assert Axe().run(page).violations_count == 0

    small_server.gateway.context.forwarding.quarantine.answered("crash")
    expect(page.locator("#marked")).to_be_hidden()
    expect(page.locator("#model option[value=crash]")).to_have_text("crash")
    expect(page.locator("#model-mark")).to_be_hidden()
    page.close()


def test_marked_model_is_shown_without_javascript(browser: Browser, small_server: Server) -> None:
    assert small_server.gateway
    small_server.gateway.context.forwarding.quarantine.isolate("/v1/chat/completions", b"{}", "crash")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    # What the server shows is half a second old at most.
    wait_until(lambda: page.goto(small_server.url) and page.locator("#marked dt").count())

    expect(page.locator("#marked dt")).to_have_text("crash")
    expect(page.locator("#marked dd")).to_contain_text("the engine ended twice on one of its requests (since")
    context.close()


@pytest.mark.parametrize("view", ["narrow", "zoomed", "wide"])
def test_requests_fit_and_axe_finds_nothing(browser: Browser, small_server: Server, view: str) -> None:
    width, height, ratio = VIEWS[view]
    page = browser.new_page(
        viewport={"width": width, "height": height},
        device_scale_factor=ratio,
        color_scheme="dark" if view == "narrow" else "light",
    )
    page.goto(small_server.url)
    started(page)

    with requests_in_line(small_server, most=2):
        page.get_by_label("Your message").press("Enter")
        expect(answer_of(page).locator(".figures")).to_contain_text("waiting")
        look_at(page, "Server")
        expect(page.locator("#request-rows tr")).to_have_count(3)
        found = Axe().run(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("Escape")

    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_failed_engine_is_explained_and_recovers_without_a_reload(page: Page, server: Server) -> None:
    expect(page.locator("#verdict")).to_have_attribute("data-health", "healthy")

    server.supervisord.states["mlx-omni-server"] = "FATAL"

    expect(page.locator("#sentence")).to_contain_text("Failed: the engine stopped")
    expect(page.locator("#fix")).to_have_text(
        "read the log, then run: local-ai server restart in a terminal Copy"
    )
    expect(page.locator("#trouble-lines")).to_have_text(
        "first line of mlx-omni-server\nsecond line of mlx-omni-server"
    )
    expect(page.locator("[data-program=mlx-omni-server] .badge")).to_have_text("✕unhealthy")
    server.supervisord.states["mlx-omni-server"] = "RUNNING"
    expect(page.locator("#sentence")).to_contain_text("Ready: tiny")
    expect(page.locator("#trouble")).to_be_hidden()


def test_programs_are_shown_once_supervisord_answers(browser: Browser, server: Server) -> None:
    server.supervisord.is_silent = True
    server.start_gateway()
    page = browser.new_page()
    page.goto(f"{server.url}#server")
    expect(page.locator("#no-programs")).to_be_visible()
    expect(page.locator("#sentence")).to_contain_text("Unknown: supervisord does not answer")

    server.supervisord.is_silent = False

    expect(page.locator("[data-program]")).to_have_count(2, timeout=15_000)
    expect(page.locator("[data-program=mlx-omni-server]")).to_contain_text("engine")
    expect(page.locator("#no-programs")).to_be_hidden()
    expect(page.locator("#sentence")).to_contain_text("Ready: tiny")
    page.close()


def test_page_never_shows_green_when_the_gateway_is_gone(browser: Browser, server: Server) -> None:
    part = server.start_gateway()
    page = browser.new_page()
    page.goto(server.url)
    started(page)
    expect(page.locator("#verdict")).to_have_attribute("data-health", "healthy")

    part.close()

    expect(page.locator("#sentence")).to_contain_text("Unknown: the gateway has not answered since")
    expect(page.locator("#verdict")).to_have_attribute("data-health", "unknown")
    expect(page.locator("[data-health=ready]")).to_have_count(0)
    server.start_gateway()
    expect(page.locator("#sentence")).to_contain_text("Ready: tiny", timeout=10_000)
    page.close()


def test_two_hundred_models_can_be_searched(browser: Browser, server: Server) -> None:
    for number in range(200):
        make_model(server.state.paths.models_dir / f"model-{number:03}-4bit")
    server.start_gateway()
    page = browser.new_page()
    page.goto(server.url)
    started(page)

    page.get_by_label("Search models").fill("17 4bit")

    options = page.locator("#model option")
    expect(options).to_have_count(12)
    expect(page.locator("#announce")).to_have_text("12 of 205 models")
    page.get_by_label("Search models").fill("model-117")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Model", exact=True)).to_have_value("model-117-4bit")
    expect(options).to_have_count(205)
    expect(page.locator("#snippet-curl")).to_contain_text('"model": "model-117-4bit"')
    page.close()


@pytest.mark.parametrize("family", ["OpenAI", "Anthropic"])
def test_calls_of_tools_are_shown_folded_and_kept(page: Page, family: str) -> None:
    ask_through(page, family)
    page.get_by_label("Model", exact=True).select_option("calls")

    page.get_by_label("Your message").press("Enter")

    calls = answer_of(page).locator(".calls details")
    expect(calls.locator("summary")).to_have_text("Calls weather")
    expect(calls.locator("pre")).to_be_hidden()
    calls.locator("summary").click()
    expect(calls.locator("pre")).to_have_text('{\n  "city": "Paris"\n}')
    assert Axe().run(page).violations_count == 0
    expect(answer_of(page).locator(".figures")).to_contain_text("first after")
    page.reload()
    expect(calls.locator("summary")).to_have_text("Calls weather")


def test_strip_tells_the_model_in_memory_and_the_queue_in_every_view(
    browser: Browser, small_server: Server
) -> None:
    small_server.engine.model = "endless"
    page = browser.new_page()
    page.goto(small_server.url)
    started(page)

    with requests_in_line(small_server, most=2):
        for view in ("Chat", "Server", "Settings"):
            look_at(page, view)
            expect(page.locator("#live")).to_contain_text("endless in memory")
            expect(page.locator("#live")).to_contain_text("1 running, 1 waiting")
    page.close()


def test_every_client_that_was_run_is_one_click_away(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    look_at(page, "Use it from…")

    page.get_by_role("button", name="Copy Qwen Code").click()

    expect(page.locator("#announce")).to_have_text("Copied")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.endswith("client launch --model tiny qwen-code")
    for name in (
        "Claude Code",
        "Codex",
        "opencode",
        "Kilo",
        "aider",
        "Open Interpreter",
        "pi",
        "Cline",
        "llm",
    ):
        expect(
            page.locator(".commands").get_by_role("button", name=f"Copy {name}", exact=True)
        ).to_be_visible()


def test_address_for_a_phone_is_a_qr_code_where_other_machines_reach_the_server(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    server.start_gateway()
    page = browser.new_page()
    page.goto(f"{server.url}#use")
    expect(page.locator(".phone")).to_have_count(0)
    state = make_test_state(tmp_path / "open", server={"host": "0.0.0.0", "api_keys": ["k" * 32]})
    outside = network_url("0.0.0.0", state.settings.server.port)
    with run_gateway(state):
        page.goto(f"http://127.0.0.1:{state.settings.server.port}/#use")

        # A machine without a network has no address for others.
        expect(page.locator(".phone")).to_have_count(1 if outside else 0)
        if outside:
            expect(page.get_by_role("img", name=f"QR code of {outside}")).to_be_visible()
            assert qr_code(outside) != qr_code("http://192.0.2.1")
    page.close()


def test_snippets_show_the_real_addresses(page: Page, server: Server) -> None:
    expect(page.locator("#snippet-openai")).to_contain_text(f'base_url="{server.url}/v1"')
    expect(page.locator("#snippet-anthropic")).to_contain_text(f'base_url="{server.url}/anthropic"')
    expect(page.locator("#snippet-claude")).to_contain_text(f"ANTHROPIC_BASE_URL={server.url}/anthropic")
    expect(page.locator("#snippet-env")).to_contain_text("OPENAI_MODEL=tiny")


def test_diagnostics_are_copied(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    server.supervisord.states["mlx-omni-server"] = "FATAL"
    expect(page.locator("#trouble")).to_be_visible()  # it has a button of its own; the other one goes

    page.locator("#trouble").get_by_role("button", name="Copy diagnostics").click()

    expect(page.locator("#announce")).to_have_text("Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert set(copied) == {"versions", "settings", "status", "logs"}
    assert copied["logs"]["supervisord"] == ["first line of supervisord", "second line of supervisord"]


def test_diagnostics_are_there_when_all_is_well_too(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    expect(page.locator("#verdict")).to_have_attribute("data-health", "healthy")

    look_at(page, "Server")
    page.get_by_role("button", name="Copy diagnostics").click()

    expect(page.locator("#announce")).to_have_text("Copied")
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["status"]["ready"] is True


def test_logs_follow_live_across_rotation_with_filter_and_pause(page: Page, server: Server) -> None:
    file = server.state.paths.log("mlx-omni-server")
    look_at(page, "Server")
    page.get_by_text("Show live").click()
    log = page.locator("#log")
    expect(log).to_have_text("first line of mlx-omni-server\nsecond line of mlx-omni-server")
    expect(page.locator("#log-state")).to_have_text("live")

    file.rename(file.with_suffix(".1"))
    file.write_text("third line\n")

    expect(log).to_contain_text("third line")
    page.get_by_label("Filter").fill("THIRD")
    expect(log).to_have_text("third line")
    page.get_by_role("button", name="Pause").click()
    with file.open("a") as out:
        out.write("third again\n")
    expect(page.locator("#log-state")).to_have_text("paused, 1 new")
    page.get_by_role("button", name="Continue").click()
    expect(log).to_have_text("third line\nthird again")
    page.get_by_label("Log of").select_option("supervisord")
    page.get_by_label("Filter").fill("")
    expect(log).to_have_text("first line of supervisord\nsecond line of supervisord")


def test_page_is_complete_without_javascript(browser: Browser, server: Server) -> None:
    server.start_gateway()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto(server.url)

    expect(page.locator("#sentence")).to_contain_text("Ready: tiny answers")
    expect(page.locator("[data-program]")).to_have_count(2)
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.locator("#composer")).to_be_hidden()
    page.get_by_text("Anthropic SDK").click()
    expect(page.locator("#snippet-anthropic")).to_be_visible()
    page.get_by_role("link", name="last lines of mlx-omni-server").click()
    expect(page.locator("body")).to_contain_text("second line of mlx-omni-server")
    context.close()


def test_failure_is_complete_without_javascript(browser: Browser, server: Server) -> None:
    server.supervisord.states["mlx-omni-server"] = "FATAL"
    server.start_gateway()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto(server.url)

    expect(page.locator("#sentence")).to_contain_text("Failed: the engine stopped")
    expect(page.locator("#fix")).to_be_visible()
    expect(page.locator("#trouble-lines")).to_contain_text("second line of mlx-omni-server")
    context.close()


def test_page_works_with_the_keyboard_alone(page: Page) -> None:
    page.locator("body").click(position={"x": 1, "y": 1})
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the chat")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your message")).to_be_focused()

    page.keyboard.press("Control+A")
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(page.get_by_label("Your message")).to_have_value("One\ntwo")
    page.keyboard.press("Enter")

    expect(answer_of(page).locator(".figures")).not_to_be_empty()
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


# Width, height and pixel ratio of what is looked at: zooming to 200 % halves the first two and doubles the
# third.
VIEWS = {"narrow": (320, 700, 1.0), "zoomed": (640, 400, 2.0), "wide": (1280, 800, 1.0)}

_OVERLAPS = """() => {
  const seen = [...document.querySelectorAll('a, button, input, select, textarea, summary')]
    .filter(node => node.checkVisibility({contentVisibilityAuto: true, visibilityProperty: true}))
    .filter(node => !node.matches('.skip, .switch input'))
    .map(node => ({node, name: node.id || node.textContent.trim(), boxes: [...node.getClientRects()]}));
  const isOutside = ({left, right}) => left < 0 || right > innerWidth;
  const outside = seen.filter(({boxes}) => boxes.some(isOutside)).map(({name}) => name);
  const isOver = (one, other) =>
    Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1;
  const over = seen.flatMap((one, index) =>
    seen.slice(index + 1)
      // What the page scrolls behind the composer is covered by it.
      .filter(other => !one.node.closest('#composer') === !other.node.closest('#composer'))
      .filter(other => one.boxes.some(box => other.boxes.some(its => isOver(box, its))))
      .map(other => [one.name, other.name]));
  const small = seen.filter(({node}) => !node.matches('a, input[type=radio]'))
    .filter(({boxes}) => boxes.some(({width, height}) => Math.min(width, height) < 24)).map(({name}) => name);
  return {count: seen.length, outside, over, small};
}"""


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("how", ["failed", "chatting"])
def test_nothing_overflows_or_overlaps(browser: Browser, server: Server, view: str, how: str) -> None:
    if how == "failed":
        server.supervisord.states["mlx-omni-server"] = "FATAL"
    for number in range(12):
        make_model(server.state.paths.models_dir / f"{number}-{'a-model-with-a-very-long-name-' * 4}")
    server.start_gateway()
    width, height, ratio = VIEWS[view]
    page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=ratio)

    page.goto(server.url)
    started(page)
    page.get_by_text("System prompt and values").click()
    if how == "chatting":
        page.get_by_label("Model", exact=True).select_option("tiny")
        page.get_by_role("button", name="Send").click()
        expect(answer_of(page).locator(".figures")).not_to_be_empty()
    controls = 0
    for view in ("Chat", "Models", "Use it from…", "Server", "Settings"):
        look_at(page, view)
        if view == "Use it from…":
            page.locator("#use summary", has_text="Claude Code").click()
        if view == "Server":
            page.get_by_text("Show live").click()
        if view == "Settings":
            expect(page.locator("#settings-form")).to_be_visible()

        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = page.evaluate(_OVERLAPS)
        controls += found["count"]
        assert (found["outside"], found["over"], found["small"]) == ([], [], [])
    assert controls > 40
    page.close()


STATES = ["ready", "chatting", "loading", "failed", "stopped", "no models", "gone"]


@pytest.mark.parametrize("how", STATES)
def test_axe_finds_nothing_in_any_state(browser: Browser, server: Server, how: str) -> None:
    """Wide and light, narrow and dark."""
    server.engine.state = "loading" if how == "loading" else "ready"
    if how in {"failed", "stopped"}:
        server.supervisord.states["mlx-omni-server"] = {"failed": "FATAL", "stopped": "STOPPED"}[how]
    if how == "no models":
        _remove_models(server.state.paths.models_dir)
    part = server.start_gateway()
    page = browser.new_page(color_scheme="light", viewport={"width": 1280, "height": 900})
    page.goto(server.url)
    started(page)
    if how == "chatting":
        page.get_by_label("Your message").press("Enter")
        expect(answer_of(page).locator(".figures")).not_to_be_empty()
        page.get_by_text("System prompt and values").click()
    if how == "gone":
        part.close()
        expect(page.locator("#verdict")).to_have_attribute("data-health", "unknown", timeout=15_000)

    views = ("Chat", "Models", "Use it from…", "Server", "Settings") if how == "ready" else ("Chat", "Server")
    for scheme, width in (("light", 1280), ("dark", 320)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        for view in views:
            look_at(page, view)
            if view == "Settings":
                expect(page.locator("#settings-form")).to_be_visible()
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
    page.close()


def _remove_models(folder: Path) -> None:
    for file in folder.rglob("*.safetensors"):
        file.unlink()


def test_whole_page_stays_under_150_kilobytes(browser: Browser, server: Server) -> None:
    server.start_gateway()
    page = browser.new_page()
    sizes: dict[str, int] = {}
    page.on("requestfinished", lambda r: sizes.update({r.url: _wire_bytes(r.sizes())}))

    page.goto(server.url)
    started(page)
    page.keyboard.press("Enter")
    expect(answer_of(page).locator("strong")).to_be_visible()
    page.wait_for_load_state("networkidle")

    files = {url: size for url, size in sizes.items() if "/assets/" in url or url == f"{server.url}/"}
    web = [file for file in (template_dir() / "web").rglob("*") if file.suffix in {".js", ".svg"}]
    assert len(files) == 1 + len(web)
    assert all(url.startswith(server.url) for url in sizes)
    assert sum(files.values()) < 150_000
    page.close()


def _wire_bytes(sizes: dict[str, int]) -> int:
    return sizes["responseHeadersSize"] + sizes["responseBodySize"]


def test_motion_is_off_for_those_who_ask(browser: Browser, server: Server) -> None:
    server.start_gateway()
    page = browser.new_page(reduced_motion="reduce")
    page.goto(server.url)
    started(page)
    page.get_by_label("Model", exact=True).select_option("endless")
    page.get_by_label("Your message").press("Enter")
    expect(answer_of(page)).to_contain_text("more")

    name = page.evaluate("getComputedStyle(document.querySelector('.writing'), '::after').animationName")

    assert name == "none"
    page.close()

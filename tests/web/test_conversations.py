"""Conversations on the page: kept in the browser, listed, edited, exported; two tabs never lose words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.server import wait_until
from tests.web.conftest import ANSWER_END, Server, answer_of, ask, started

pytestmark = pytest.mark.integration


def conversations(page: Page) -> Locator:
    return page.locator("#conversation-list .name")


def test_conversations_are_kept_listed_and_opened_again(page: Page) -> None:
    ask(page, "What is the capital of France?")
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".message")).to_have_count(0)
    ask(page, "And of Italy?")
    page.reload()
    started(page)

    expect(page.locator(".message.user .text")).to_have_text("And of Italy?")
    expect(conversations(page)).to_have_text(["And of Italy?", "What is the capital of France?"])
    page.get_by_label("Search conversations").fill("france CAPITAL")
    expect(conversations(page)).to_have_text(["And of Italy?", "What is the capital of France?"])
    page.get_by_label("Search conversations").fill("italy")
    expect(conversations(page)).to_have_text(["And of Italy?"])
    page.get_by_label("Search conversations").fill("")
    conversations(page).nth(1).click()
    expect(page.locator(".message.user .text")).to_have_text("What is the capital of France?")
    expect(answer_of(page)).to_contain_text("Paris")


def test_list_of_conversations_keeps_its_rows_and_the_focus_when_one_is_kept(page: Page) -> None:
    ask(page, "What is the capital of France?")
    page.get_by_role("button", name="New conversation").click()
    ask(page, "And of Italy?")
    rows = page.locator("#conversation-list .open")
    rows.nth(1).click()
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    rows.nth(1).focus()
    row = rows.nth(1).element_handle()

    # The answer's end moves its row to the top.
    page.evaluate(f"document.getElementById('prompt').value = 'And of Spain?'; {ASK}")

    expect(rows.first).to_contain_text("France")
    expect(rows.first).to_be_focused()
    assert row.evaluate("(row) => row === document.activeElement")


def test_conversation_is_renamed_deleted_and_brought_back(page: Page) -> None:
    ask(page, "What is the capital of France?")

    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("Capitals")
    page.keyboard.press("Enter")
    expect(conversations(page)).to_have_text(["Capitals"])
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(conversations(page)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()

    expect(conversations(page)).to_have_text(["Capitals"])
    page.get_by_role("button", name="Delete", exact=True).click()
    page.locator("#deleted summary").click()
    page.get_by_role("button", name="Delete these for good").click()
    expect(page.locator(".message")).to_have_count(0)
    page.reload()
    started(page)
    expect(page.locator("#deleted")).to_be_hidden()
    expect(page.locator("#no-conversations")).to_be_visible()


def test_exported_conversations_can_be_imported_elsewhere(
    page: Page, server: Server, browser: Browser, tmp_path: Path
) -> None:
    ask(page, "What is the capital of France?")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    file = tmp_path / "conversations.json"
    download.value.save_as(file)
    other = browser.new_page()
    other.goto(server.url)
    started(other)

    other.locator("#import-file").set_input_files(file)
    expect(other.locator("#import-said")).to_have_text("1 imported, 0 were here already")
    conversations(other).first.click()

    expect(answer_of(other)).to_contain_text("Paris")
    other.locator("#import-file").set_input_files(file)
    expect(other.locator("#import-said")).to_have_text("0 imported, 1 were here already")
    file.write_text(json.dumps({"conversations": [{"id": "x", "messages": [{"id": 1, "parent": 7}]}]}))
    other.locator("#import-file").set_input_files(file)
    expect(other.locator("#import-said")).to_have_text(
        f"{file.name} holds no conversations that this page exported"
    )
    other.close()


def test_two_tabs_never_lose_each_others_words(page: Page) -> None:
    ask(page, "What is the capital of France?")
    other = page.context.new_page()
    other.goto(page.url)
    started(other)
    expect(other.locator(".message")).to_have_count(2)  # a new tab begins with the latest conversation
    for tab in (page, other):
        tab.get_by_label("Model", exact=True).select_option("endless")
        tab.get_by_label("Your message").fill(f"Asked in tab {1 if tab is page else 2}")
        tab.get_by_label("Your message").press("Enter")
    for tab in (page, other):
        expect(answer_of(tab)).to_contain_text("more")
        tab.keyboard.press("Escape")
        expect(answer_of(tab).locator(".figures")).to_contain_text("stopped")

    other.close()
    page.reload()  # nothing moves the list any more
    started(page)
    expect(conversations(page)).to_have_count(2)
    found = set()
    for number in range(2):
        conversations(page).nth(number).click()
        expect(page.locator("#conversation-list .open").nth(number)).to_have_attribute("aria-current", "true")
        found |= set(page.locator(".message.user .text").all_inner_texts())
    assert found == {"What is the capital of France?", "Asked in tab 1", "Asked in tab 2"}


# Holds back what the tab hears of other tabs, until `release()`.
HOLD = """
  window.held = [];
  window.release = () => held.splice(0).forEach((hear) => hear());
  const add = EventTarget.prototype.addEventListener;
  BroadcastChannel.prototype.addEventListener = function (type, listener) {
    add.call(this, type, (event) => held.push(() => listener(event)));
  };
"""
HEAR = "release()"
CHANGE = "document.getElementById('temperature').dispatchEvent(new Event('change'))"
ASK = "document.getElementById('composer').requestSubmit()"
RENAME = "document.getElementById('rename-form').requestSubmit()"
KEPT = """first => new Promise((resolve) => {
  const asked = (messages) => messages.filter(({ role }) => role === "user").map(({ text }) => text);
  const row = ({ title, messages }) => [title, ...asked(messages)];
  indexedDB.open("local-ai").onsuccess = ({ target }) => {
    const all = target.result.transaction("conversations").objectStore("conversations").getAll();
    all.onsuccess = () => resolve(all.result.map(row).filter((texts) => texts.includes(first)).sort());
  };
})"""


def test_two_tabs_keep_their_words_once_whenever_one_hears_of_the_other(page: Page) -> None:
    other = page.context.new_page()
    other.add_init_script(HOLD)
    other.goto(page.url)
    started(other)
    # The second tab's steps after the first one asked, a script or the text that it then shows; what is kept.
    rounds = [
        ([f"{HEAR};{CHANGE}", "In tab 1?", ASK, "In tab 2?"], [["", "In tab 1?", "In tab 2?"]]),
        ([CHANGE, "In tab 1?", HEAR, ASK, "In tab 2?"], [["", "In tab 1?", "In tab 2?"]]),
        ([f"{HEAR};{ASK}", "In tab 2?"], [["", "In tab 1?"], ["", "In tab 2?"]]),
        ([f"{ASK};{HEAR}", "In tab 2?"], [["", "In tab 1?"], ["", "In tab 2?"]]),
        ([f"{HEAR};{RENAME}", "In tab 1?"], [["Mine", "In tab 1?"]]),
    ]
    for number, (steps, expected) in enumerate(rounds):
        first = f"First {number}?"
        page.get_by_role("button", name="New conversation").click()
        ask(page, first)
        other.wait_for_function("held.length >= 2")
        other.evaluate(HEAR)
        conversations(other).filter(has_text=first).click()
        expect(other.locator(".message.user .text")).to_have_text([first])
        other.get_by_role("button", name="Rename").click()
        other.get_by_label("Name", exact=True).fill("Mine")
        other.get_by_label("Your message").fill("In tab 2?")
        ask(page, "In tab 1?")
        other.wait_for_function("held.length >= 1")

        for step in steps:
            if step.startswith("In tab"):
                expect(other.locator(".message.user .text").last).to_have_text(step)
                expect(answer_of(other).locator(".figures")).to_have_text(ANSWER_END)
            else:
                other.evaluate(step)
        other.evaluate(HEAR)

        rows = [[title, first, *asked] for title, *asked in expected]
        wait_until(lambda rows=rows, first=first: page.evaluate(KEPT, first) == rows)
    other.close()


def test_conversation_deleted_in_one_tab_stays_in_the_other_until_it_is_gone_for_good(page: Page) -> None:
    ask(page, "What is the capital of France?")
    other = page.context.new_page()
    other.goto(page.url)
    started(other)

    other.get_by_role("button", name="Delete", exact=True).click()

    expect(page.locator("#was-deleted")).to_contain_text("This conversation is deleted.")
    expect(answer_of(page)).to_contain_text("Paris")
    ask(page, "And of Italy?")
    expect(page.locator("#was-deleted")).to_be_hidden()
    expect(other.locator(".message")).to_have_count(4)
    other.close()


def test_conversation_of_version_0_1_0_is_moved(browser: Browser, server: Server) -> None:
    server.start_gateway()
    page = browser.new_page()
    messages = [{"role": "user", "text": "Old?"}, {"role": "assistant", "model": "tiny", "text": "Old."}]
    kept = json.dumps({"messages": messages, "model": "tiny", "family": "anthropic", "fields": {}})
    page.add_init_script(f"localStorage.getItem('moved') ?? localStorage.setItem('local-ai.chat', {kept!r})")
    page.goto(server.url)
    started(page)

    expect(page.locator(".message .text")).to_have_text(["Old?", "Old."])
    assert page.evaluate("localStorage.getItem('local-ai.chat')") is None
    page.close()


def test_edited_question_and_new_answers_stand_beside_the_old_ones(page: Page, server: Server) -> None:
    ask(page, "What is the capital of France?")
    ask(page, "And of Italy?")

    first = page.locator(".message.user").first
    first.get_by_role("button", name="Edit").click()
    first.get_by_label("Your question").fill("What is the capital of Spain?")
    first.get_by_role("button", name="Ask", exact=True).click()

    expect(page.locator(".message")).to_have_count(2)
    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)
    assert [message["content"] for message in server.engine.requests[-1]["messages"]] == [
        "What is the capital of Spain?"
    ]
    page.get_by_role("button", name="Ask again").click()
    expect(answer_of(page).locator(".version")).to_have_text("2 of 2")
    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)
    page.locator(".message.user").get_by_role("button", name="Earlier version").click()
    expect(page.locator(".message.user .text")).to_have_text(
        ["What is the capital of France?", "And of Italy?"]
    )


def test_question_that_failed_is_not_sent_with_the_next_one(page: Page, server: Server) -> None:
    page.get_by_label("Model", exact=True).select_option("nope")
    page.get_by_label("Your message").press("Enter")
    expect(answer_of(page).locator(".error")).to_contain_text("no model named")
    page.get_by_label("Model", exact=True).select_option("tiny")

    ask(page, "And of Italy?")

    assert server.engine.requests[-1]["messages"] == [{"role": "user", "content": "And of Italy?"}]


def test_answer_that_runs_is_told_to_other_tabs_and_kept_as_far_as_it_came_when_the_page_is_left(
    page: Page,
) -> None:
    page.get_by_label("Model", exact=True).select_option("endless")
    page.get_by_label("Your message").press("Enter")
    expect(answer_of(page)).to_contain_text("more")
    kept = """() => new Promise(done => {
      indexedDB.open("local-ai").onsuccess = ({target}) => {
        const all = target.result.transaction("conversations").objectStore("conversations").getAll();
        all.onsuccess = () => done(all.result[0]?.messages[1].text.includes("more"));
      };
    })"""
    wait_until(lambda: page.evaluate(kept))
    other = page.context.new_page()
    other.goto(page.url)
    expect(answer_of(other).locator(".figures")).to_have_text("running in another tab")
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))

    page.reload()
    started(page)

    expect(answer_of(page).locator(".text")).to_contain_text("Paris")
    expect(answer_of(page).locator(".figures")).to_have_text("not finished")
    expect(answer_of(other).locator(".figures")).to_have_text("not finished")
    assert asked == ["beforeunload"]
    other.close()

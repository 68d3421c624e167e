"""Pictures on the page: chosen, pasted and dropped, shown, sent in both families, kept, and removed."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from tests.gateway.fakes import make_model
from tests.web.conftest import ANSWER_END, Server, answer_of, ask, started

pytestmark = pytest.mark.integration

# Hands over files as a person's clipboard and pointer do; each is [name, type, base64].
HAND_OVER = """([selector, kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, text] of files) {
    data.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name, { type }));
  }
  const own = kind === "paste" ? { clipboardData: data } : { dataTransfer: data };
  const event = kind === "paste" ? ClipboardEvent : DragEvent;
  const options = { bubbles: true, cancelable: true, ...own };
  document.querySelector(selector).dispatchEvent(new event(kind, options));
}"""

COUNT_KEPT = """() => new Promise((tell) => {
  indexedDB.open("local-ai.pictures").onsuccess = ({ target: { result: database } }) => {
    const kept = database.transaction("pictures").objectStore("pictures");
    kept.count().onsuccess = ({ target }) => tell(target.result);
  };
})"""


@pytest.fixture
def eyes(server: Server) -> str:
    """A model that sees, by its files."""
    folder = make_model(server.state.paths.models_dir / "eyes")
    (folder / "config.json").write_text(json.dumps({"model_type": "smolvlm", "vision_config": {}}))
    (folder / "preprocessor_config.json").write_text("{}")
    return "eyes"


@pytest.fixture
def seeing(eyes: str, page: Page) -> Page:
    """The page, with that model chosen."""
    choose(page, eyes)
    expect(page.get_by_role("button", name="Add a picture")).to_be_visible()
    return page


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A photograph that is larger than the page sends."""
    file = tmp_path / "wide.png"
    Image.effect_noise((3136, 784), 90).convert("RGB").save(file)
    return file


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.png"
    Image.new("RGB", (32, 24), "red").save(file)
    return file


def choose(page: Page, model: str) -> None:
    page.get_by_label("Model", exact=True).select_option(model)


def waiting(page: Page) -> Locator:
    return page.locator("#pictures img")


def sent(server: Server) -> dict[str, Any]:
    request: dict[str, Any] = next(each for each in reversed(server.engine.requests) if "messages" in each)
    return request


def hand_over(page: Page, kind: str, *files: Path, media_type: str = "image/png") -> None:
    texts = [base64.b64encode(file.read_bytes()).decode() for file in files]
    named = [[file.name, media_type, text] for file, text in zip(files, texts, strict=True)]
    page.evaluate(HAND_OVER, ["#prompt", kind, named])


def in_openai(part: dict[str, Any]) -> str:
    url: str = part["image_url"]["url"]
    return url


def in_anthropic(part: dict[str, Any]) -> str:
    source = part["source"]
    return f"data:{source['media_type']};base64,{source['data']}"


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


@pytest.mark.parametrize(("family", "read"), [("OpenAI", in_openai), ("Anthropic", in_anthropic)])
def test_pictures_are_chosen_shown_and_sent_in_either_family(
    seeing: Page, server: Server, small: Path, wide: Path, family: str, read: Callable[[dict[str, Any]], str]
) -> None:
    seeing.get_by_text("System prompt and values").click()
    seeing.get_by_text(family, exact=True).first.click()
    with seeing.expect_file_chooser() as chooser:
        seeing.get_by_role("button", name="Add a picture").click()
    chooser.value.set_files([small, wide])
    expect(waiting(seeing)).to_have_count(2)

    ask(seeing, "What is this?")

    expect(waiting(seeing)).to_have_count(0)
    shown = seeing.locator(".message.user").get_by_role("img")
    expect(shown).to_have_count(2)
    expect(shown.first).to_have_attribute("alt", "small.png")
    expect(shown.first).to_have_js_property("naturalWidth", 32)
    first, second, words = sent(server)["messages"][0]["content"]
    assert words == {"type": "text", "text": "What is this?"}
    assert base64.b64decode(read(first).partition(",")[2]) == small.read_bytes()
    assert opened(read(second)).size == (1568, 392)
    assert opened(read(second)).format == "JPEG"


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped_and_removed_again(
    seeing: Page, server: Server, small: Path, kind: str
) -> None:
    hand_over(seeing, kind, small)
    expect(waiting(seeing)).to_have_count(1)
    hand_over(seeing, kind, small)
    expect(waiting(seeing)).to_have_count(2)

    seeing.get_by_role("button", name="Remove small.png").first.click()
    expect(waiting(seeing)).to_have_count(1)
    seeing.get_by_role("button", name="Remove small.png").click()

    expect(seeing.locator("#pictures")).to_be_hidden()
    expect(seeing.get_by_label("Your message")).to_be_focused()
    ask(seeing, "And now?")
    assert sent(server)["messages"] == [{"role": "user", "content": "And now?"}]


def test_a_picture_stays_with_its_conversation_until_that_is_deleted_for_good(
    seeing: Page, server: Server, small: Path
) -> None:
    hand_over(seeing, "paste", small)
    expect(waiting(seeing)).to_have_count(1)
    seeing.get_by_label("Your message").fill("")
    seeing.get_by_role("button", name="Send").click()
    expect(answer_of(seeing).locator(".figures")).to_have_text(ANSWER_END)
    seeing.reload()
    started(seeing)

    expect(seeing.locator(".message.user img")).to_have_js_property("naturalWidth", 32)
    expect(seeing.locator("#conversation-title")).to_have_text("small.png")
    ask(seeing, "And what else?")
    (picture,) = sent(server)["messages"][0]["content"]
    assert in_openai(picture).startswith("data:image/png;base64,")
    assert len(sent(server)["messages"]) == 3
    seeing.get_by_role("button", name="Delete", exact=True).click()
    seeing.locator("#deleted summary").click()
    seeing.get_by_role("button", name="Delete these for good").click()
    expect(seeing.locator(".message")).to_have_count(0)
    assert seeing.evaluate(COUNT_KEPT) == 0


def test_an_exported_conversation_brings_its_pictures(
    seeing: Page, server: Server, small: Path, browser: Browser, tmp_path: Path
) -> None:
    hand_over(seeing, "drop", small)
    expect(waiting(seeing)).to_have_count(1)
    ask(seeing, "What is this?")
    with seeing.expect_download() as download:
        seeing.get_by_role("button", name="Export").click()
    file = tmp_path / "conversations.json"
    download.value.save_as(file)
    other = browser.new_page()
    other.goto(server.url)
    started(other)

    other.locator("#import-file").set_input_files(file)
    expect(other.locator("#import-said")).to_have_text("1 imported, 0 were here already")
    other.locator("#conversation-list .name").first.click()

    expect(other.locator(".message.user img")).to_have_js_property("naturalWidth", 32)


def test_a_model_that_sees_nothing_is_shown_nothing(seeing: Page, server: Server, small: Path) -> None:
    hand_over(seeing, "paste", small)
    expect(waiting(seeing)).to_have_count(1)

    choose(seeing, "tiny")
    expect(seeing.locator("#picture-note")).to_have_text(
        "tiny cannot see pictures. Choose a model that can: eyes."
    )
    expect(seeing.get_by_role("button", name="Add a picture")).to_be_hidden()
    seeing.get_by_label("Your message").fill("What is this?")
    seeing.get_by_role("button", name="Send").click()
    expect(seeing.locator(".message")).to_have_count(0)
    seeing.get_by_role("button", name="Remove small.png").click()

    expect(seeing.locator("#picture-note")).to_be_hidden()
    hand_over(seeing, "drop", small)
    expect(seeing.locator("#picture-note")).to_be_visible()
    expect(waiting(seeing)).to_have_count(0)
    assert server.engine.requests == []


@pytest.mark.parametrize(
    ("name", "media_type", "words"),
    [
        ("broken.png", "image/png", "broken.png is not a picture that this browser can read."),
        (
            "notes.pdf",
            "application/pdf",
            "notes.pdf is not a picture. PNG, JPEG, WebP and GIF files are taken.",
        ),
        (
            "IMG_1.HEIC",
            "",
            "IMG_1.HEIC is a HEIC photo, which this browser cannot read. Save it as JPEG (on a Mac: Preview, "
            "File, Export), and add that.",
        ),
    ],
)
def test_a_file_that_is_not_taken_is_told_with_the_reason_while_others_are(
    seeing: Page, tmp_path: Path, small: Path, name: str, media_type: str, words: str
) -> None:
    file = tmp_path / name
    file.write_bytes(b"\x89PNG\r\n\x1a\nrest")

    hand_over(seeing, "drop", file, media_type=media_type)
    expect(seeing.locator("#picture-note")).to_have_text(words)
    expect(waiting(seeing)).to_have_count(0)

    hand_over(seeing, "drop", file, small)
    expect(waiting(seeing)).to_have_count(1)
    expect(seeing.locator("#picture-note")).to_contain_text(name)
    hand_over(seeing, "drop", small)
    expect(waiting(seeing)).to_have_count(2)
    expect(seeing.locator("#picture-note")).to_be_hidden()


def test_pictures_beyond_the_most_are_said_to_be_left_out(seeing: Page, small: Path) -> None:
    hand_over(seeing, "paste", *[small] * 10)

    expect(waiting(seeing)).to_have_count(8)
    expect(seeing.locator("#picture-note")).to_have_text(
        "No more than 8 pictures in one question: 2 left out."
    )

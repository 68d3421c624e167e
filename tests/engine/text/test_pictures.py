"""Pictures of requests, in all dialects: where they stand, what bounds them, and words for a bad one."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.api.test_api_tables import READERS
from tests.engine.pictures.files import BLUE, RED, data_url, plain

from local_ai.engine.pictures.picture import Picture
from local_ai.engine.text.conversation import Ask, Message
from local_ai.engine.text.pictures import PictureReader
from local_ai.serving.errors import ApiError
from local_ai.settings.schema import VisionSettings

CHAT, RESPONSES, ANTHROPIC = "POST /v1/chat/completions", "POST /v1/responses", "POST /anthropic/v1/messages"
OLLAMA, GENERATE = "POST /api/chat", "POST /api/generate"
FILES = [plain(RED), plain(BLUE, kind="GIF")]
TEXTS = [base64.b64encode(file).decode() for file in FILES]


@pytest.fixture(scope="module")
def reader() -> Iterator[PictureReader]:
    reader = PictureReader(lambda: VisionSettings(max_pictures=3, max_picture_mb=0.01))
    yield reader
    reader.end()


def part(heading: str, text: str) -> dict[str, Any]:
    if heading == ANTHROPIC:
        # Says what it is not: the file decides.
        return {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": text}}
    if heading == RESPONSES:
        return {"type": "input_image", "image_url": f"data:image/jpeg;base64,{text}", "detail": "auto"}
    return {"type": "image_url", "image_url": {"url": f"DATA:;base64,{text}", "detail": "high"}}


def words(heading: str, said: str) -> dict[str, Any]:
    return {"type": "input_text" if heading == RESPONSES else "text", "text": said}


def read(heading: str, field: str, value: Any, **more: Any) -> Ask:
    parse, body = READERS[heading]
    found = parse(body | {field: value} | more)
    ask: Ask = found.asks[0] if hasattr(found, "asks") else found.ask
    return ask


def field_of(heading: str) -> str:
    return "input" if heading == RESPONSES else "messages"


def shown(message: Message) -> list[str]:
    """A message's texts, and the places of its pictures."""
    return [each if isinstance(each, str) else f"<{each.place}>" for each in message.parts]


def decoded(reader: PictureReader, ask: Ask) -> tuple[Picture, ...]:
    return asyncio.run(reader.read(ask)).pictures


@pytest.mark.parametrize("heading", [CHAT, RESPONSES, ANTHROPIC])
def test_pictures_stand_where_they_were_sent_in_any_turn(heading: str, reader: PictureReader):
    one, two = (part(heading, text) for text in TEXTS)
    turns = [
        {"role": "user", "content": [words(heading, "First"), words(heading, "this:"), one, two]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": [two, words(heading, "And this?")]},
    ]
    field = field_of(heading)

    ask = read(heading, field, turns)
    pictures = decoded(reader, ask)

    assert shown(ask.messages[0]) == [
        "First\nthis:",
        f"<{field}[0].content[2]>",
        f"<{field}[0].content[3]>",
    ]
    assert ask.messages[1] == Message("assistant", "A cat.")
    assert shown(ask.messages[2]) == [f"<{field}[2].content[0]>", "And this?"]
    assert [picture.rgb[:3] for picture in pictures] == [bytes(RED), bytes(BLUE), bytes(BLUE)]
    assert pictures[1].digest == pictures[2].digest != pictures[0].digest


@pytest.mark.parametrize("heading", [CHAT, RESPONSES, ANTHROPIC])
def test_a_tools_result_may_show_pictures(heading: str, reader: PictureReader):
    content = [words(heading, "Seen:"), part(heading, TEXTS[0])]
    call: dict[str, Any]
    if heading == CHAT:
        call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        turns = [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": content},
        ]
        place = "messages[2].content[1]"
    elif heading == RESPONSES:
        call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
        turns = [call, {"type": "function_call_output", "call_id": "c1", "output": content}]
        place = "input[2].output[1]"
    else:
        result = {"type": "tool_result", "tool_use_id": "c1", "content": content, "is_error": True}
        use = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
        turns = [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
        place = "messages[2].content[0].content[1]"

    ask = read(heading, field_of(heading), [{"role": "user", "content": "Look."}, *turns])

    said = "Error: Seen:" if heading == ANTHROPIC else "Seen:"
    assert (ask.messages[-1].role, ask.messages[-1].call_id) == ("tool", "c1")
    assert shown(ask.messages[-1]) == [said, f"<{place}>"]
    assert decoded(reader, ask)[0].place == place


def test_ollamas_pictures_stand_before_the_text(reader: PictureReader):
    chat = read(OLLAMA, "messages", [{"role": "user", "content": "What?", "images": TEXTS}])
    plain_text = read(GENERATE, "images", TEXTS, prompt="What?")

    assert shown(chat.messages[0]) == ["<messages[0].images[0]>", "<messages[0].images[1]>", "What?"]
    assert shown(plain_text.messages[0]) == ["<images[0]>", "<images[1]>", "What?"]
    assert [picture.rgb[:3] for picture in decoded(reader, chat)] == [bytes(RED), bytes(BLUE)]


def test_a_picture_that_is_wanted_small_is_small(reader: PictureReader):
    url = {"url": data_url(plain(size=(1000, 500))), "detail": "low"}
    ask = read(CHAT, "messages", [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}])

    (picture,) = decoded(reader, ask)

    assert (picture.width, picture.height) == (512, 256)


@pytest.mark.parametrize(
    ("url", "why", "code"),
    [
        ("data:image/png;base64,%%%", "its data is not base64 (", "invalid_base64_image"),
        ("data:image/png;base64,", "its file is empty", "empty_image_file"),
        ("data:image/png,abc", "its data: address is not in base64", "invalid_image_url"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "it is an SVG drawing, and PNG,", "invalid_image_format"),
        (
            data_url(bytes(10_001)),
            "its file has more than 0.01 MB (vision.max_picture_mb)",
            "image_file_too_large",
        ),
        (TEXTS[0], "it is no address: there is no https: or data: before it", "invalid_image_url"),
        ("file:///etc/passwd", "addresses with file: are not read, only", "invalid_image_url"),
        ("https://example.com/a.png", "pictures are not fetched from 'example.com'", "invalid_image_url"),
    ],
)
def test_a_bad_picture_is_refused_by_its_place_and_reason(
    reader: PictureReader, url: str, why: str, code: str
):
    good, bad = ({"type": "image_url", "image_url": {"url": each}} for each in (data_url(FILES[0]), url))
    ask = read(CHAT, "messages", [{"role": "user", "content": [good, bad]}])

    with pytest.raises(ApiError) as caught:
        decoded(reader, ask)

    assert (caught.value.status, caught.value.code) == (400, code)
    assert caught.value.param == "messages[0].content[1]"
    assert caught.value.why.startswith(why)


def test_the_number_of_pictures_is_bounded(reader: PictureReader):
    ask = read(CHAT, "messages", [{"role": "user", "content": [part(CHAT, TEXTS[0])] * 4}])

    with pytest.raises(ApiError) as caught:
        decoded(reader, ask)

    assert caught.value.sentence.startswith(
        "messages[0].content[3] cannot be used: it is picture 4 of 4, and 3 are taken (vision.max_pictures)."
    )

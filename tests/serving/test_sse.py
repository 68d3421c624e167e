"""Server-sent events: written, cut and kept alive."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence

import pytest
from tests import coroutines

from local_ai.serving.framing import EVENTS, LINES, line
from local_ai.serving.sse import HOLE, EventTemplate, WholeEvents, batches, event, say_something


def test_an_event_is_written_with_its_name_and_json():
    assert event({"a": "é\ud800"}, name="x") == 'event: x\ndata: {"a":"é?"}\n\n'.encode()
    assert event("[DONE]") == b"data: [DONE]\n\n"


def test_a_template_writes_what_the_whole_event_would_be():
    def example(number: int | str, text: str) -> dict[str, object]:
        return {"type": "delta", "number": number, "é": text, "end": None}

    template = EventTemplate(example(HOLE, HOLE), name="x")

    for text in ("", ' é\n"\\\x00\u2028', "{0}%s", "\ud800"):
        assert template.write(7, text) == event(example(7, text), name="x")


def test_an_event_is_held_back_until_its_end_has_come():
    whole = WholeEvents()

    assert [whole.feed(b"data: a\n\nda"), whole.feed(b"ta: b\n"), whole.feed(b"\n")] == [
        b"data: a\n\n",
        b"",
        b"data: b\n\n",
    ]
    assert whole.rest() == b""


def test_a_line_is_held_back_until_its_end_has_come():
    whole = WholeEvents(LINES.boundary)

    assert [whole.feed(b'  {"a"'), whole.feed(b':"\\n"}\n{'), whole.feed(b"}\n")] == [
        b"",
        b'  {"a":"\\n"}\n',
        b"{}\n",
    ]


def test_a_line_has_no_other_end_within_it():
    text = "".join(map(chr, range(0x2100)))

    written = line({"text": text}).decode()

    assert len(written.splitlines()) == 1
    assert json.loads(written) == {"text": text}


def test_what_keeps_a_stream_alive_is_skipped_by_its_readers():
    text = LINES.comment("waiting") + LINES.comment("waiting") + line({"a": 1})

    assert [json.loads(each) for each in text.splitlines()] == [{"a": 1}]
    assert EVENTS.comment("waiting, position 1 of 2") == b": waiting, position 1 of 2\n\n"


@pytest.mark.parametrize(
    ("events", "says"),
    [(b": x\n\n", False), (b"event: ping\ndata: {}\n\n: x\n\n", False), (b": x\n\ndata: 1\n\n", True)],
)
def test_comments_and_pings_say_nothing(events: bytes, says: bool):
    assert say_something(events) is says


def test_ticks_come_while_there_is_nothing_and_items_in_their_order():
    go_on = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await go_on.wait()
        yield 2

    async def collect() -> list[list[int]]:
        found: list[list[int]] = []
        async for together in batches(items(), every_s=0.001):
            found.append(together)
            if not together:
                go_on.set()
        return found

    found = coroutines.run(collect())

    assert [item for together in found for item in together] == [1, 2]
    assert found[:2] == [[1], []]


def test_a_failure_of_the_items_comes_through():
    async def items() -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken")

    async def collect() -> list[list[int]]:
        return [together async for together in batches(items(), every_s=1)]

    with pytest.raises(ValueError, match="broken"):
        coroutines.run(collect())


def test_closing_ends_the_items_at_once():
    ended = []

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def begin_and_leave() -> None:
        ticks = batches(items(), every_s=0.001)
        await anext(ticks)
        await anext(ticks)
        await ticks.aclose()

    coroutines.run(begin_and_leave())

    assert ended == [True]


async def _chunks(chunks: Sequence[bytes], taken: list[bytes]) -> AsyncIterator[bytes]:
    """Give out chunks that are all there already; note how many have been asked for."""
    for chunk in chunks:
        taken.append(chunk)
        yield chunk


def test_chunks_that_are_there_already_are_given_out_together():
    async def collect() -> list[bytes]:
        return [b"".join(chunks) async for chunks in batches(_chunks([b"a", b"b", b"c"], []))]

    assert coroutines.run(collect()) == [b"abc"]


def test_a_chunk_is_not_held_back_for_the_next():
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async def first() -> list[bytes]:
        async with contextlib.aclosing(batches(chunks())) as given:
            return await anext(given)

    assert coroutines.run(first()) == [b"a"]


def test_chunks_that_came_before_a_failure_are_given_out_before_it():
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"
        raise ValueError("broken")

    async def take_all() -> None:
        given = batches(chunks())
        assert await anext(given) == [b"a", b"b"]
        await anext(given)

    with pytest.raises(ValueError, match="broken"):
        coroutines.run(take_all())


def test_a_taker_that_is_slow_holds_the_chunks_back():
    taken: list[bytes] = []
    many = [b"x"] * 1000

    async def begin_and_rest() -> int:
        async with contextlib.aclosing(batches(_chunks(many, taken))) as given:
            await anext(given)
            for _ in range(len(many)):
                await asyncio.sleep(0)
            return len(taken)

    assert coroutines.run(begin_and_rest()) < len(many) / 5

    async def collect() -> list[bytes]:
        return [b"".join(chunks) async for chunks in batches(_chunks(many, []))]

    assert b"".join(coroutines.run(collect())) == b"x" * 1000

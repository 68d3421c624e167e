"""Connections to the engine are kept where that is safe, a request is sent once, and leaving cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests import coroutines

from local_ai.gateway.upstream.client import EngineAbsent, EngineAnswer, EngineGone, Upstream

_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
_HALF = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n"
_LAST = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"


class _Engine:
    """Gives each request the next of its answers, and counts its connections."""

    def __init__(self, *answers: bytes, is_last: bool = False) -> None:
        self._answers = iter(answers)
        self._is_last = is_last  # each closes its connection
        self.head = b""
        self.connections: list[asyncio.StreamWriter] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.head = head
                writer.write(next(self._answers))
                self.asked.set()
                if self._is_last:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, StopIteration):
            self.left.set()
        finally:
            writer.close()

    @asynccontextmanager
    async def run(self, socket_path: Path) -> AsyncIterator[Upstream]:
        async with await asyncio.start_unix_server(self.handle, socket_path):
            upstream = Upstream(socket_path)
            yield upstream
            await upstream.close()


async def _ask(upstream: Upstream) -> EngineAnswer:
    return await upstream.send("GET", "/health", {}, b"")


async def _ask_and_read(upstream: Upstream) -> bytes:
    answer = await _ask(upstream)
    try:
        return await answer.read()
    finally:
        await answer.close()


@pytest.mark.parametrize("answer", [_WHOLE, _CHUNKED], ids=["sized", "chunked"])
def test_connection_is_used_again_after_a_whole_answer(tmp_path: Path, answer: bytes) -> None:
    async def run() -> int:
        engine = _Engine(*[answer] * 3)
        async with engine.run(tmp_path / "s") as upstream:
            for _ in range(3):
                await _ask_and_read(upstream)
            return len(engine.connections)

    assert coroutines.run(run()) == 1


def test_connection_that_the_engine_wants_closed_is_not_used_again(tmp_path: Path) -> None:
    async def run() -> int:
        engine = _Engine(_LAST, _WHOLE)
        async with engine.run(tmp_path / "s") as upstream:
            for _ in range(2):
                await _ask_and_read(upstream)
            return len(engine.connections)

    assert coroutines.run(run()) == 2


def test_answer_that_is_closed_before_its_end_is_cancelled_by_closing_its_connection(tmp_path: Path) -> None:
    async def run() -> int:
        engine = _Engine(_HALF, _WHOLE)
        async with engine.run(tmp_path / "s") as upstream:
            await (await _ask(upstream)).close()
            await asyncio.wait_for(engine.left.wait(), 10)
            await _ask_and_read(upstream)
            return len(engine.connections)

    assert coroutines.run(run()) == 2


@pytest.mark.parametrize("answer", [b"", _HALF], ids=["before its answer", "in its answer"])
def test_cancelled_request_closes_its_connection(tmp_path: Path, answer: bytes) -> None:
    async def run() -> None:
        engine = _Engine(answer)
        async with engine.run(tmp_path / "s") as upstream:
            asking = asyncio.create_task(_ask_and_read(upstream))
            await asyncio.wait_for(engine.asked.wait(), 10)
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait_for(engine.left.wait(), 10)

    coroutines.run(run())


def test_connection_that_has_ended_is_never_written_to(tmp_path: Path) -> None:
    async def run() -> bytes:
        engine = _Engine(_WHOLE, _CHUNKED)
        async with engine.run(tmp_path / "s") as upstream:
            await _ask_and_read(upstream)
            engine.connections[0].transport.abort()
            await engine.left.wait()
            return await _ask_and_read(upstream)

    assert coroutines.run(run()) == b"abcd"


def test_connection_that_ends_with_a_request_on_it_is_an_end_of_the_engine_and_not_asked_again(
    tmp_path: Path,
) -> None:
    async def run() -> int:
        engine = _Engine(_WHOLE)
        async with engine.run(tmp_path / "s") as upstream:
            await _ask_and_read(upstream)
            with pytest.raises(EngineGone):
                await _ask_and_read(upstream)  # there is no further answer: the connection ends
            return len(engine.connections)

    assert coroutines.run(run()) == 1


@pytest.mark.parametrize("answer", [_HALF, b"no http", _WHOLE[:-1]], ids=["chunked", "nonsense", "sized"])
def test_answer_that_is_not_whole_is_an_end_of_the_engine(tmp_path: Path, answer: bytes) -> None:
    async def run() -> None:
        engine = _Engine(answer, is_last=True)
        async with engine.run(tmp_path / "s") as upstream:
            with pytest.raises(EngineGone):
                await _ask_and_read(upstream)

    coroutines.run(run())


def test_absent_engine_is_told_apart_from_an_end(tmp_path: Path) -> None:
    with pytest.raises(EngineAbsent):
        coroutines.run(_ask_and_read(Upstream(tmp_path / "none")))


def test_address_and_headers_that_are_not_ascii_reach_the_engine(tmp_path: Path) -> None:
    async def run() -> bytes:
        engine = _Engine(_WHOLE)
        async with engine.run(tmp_path / "s") as upstream:
            headers = {"user-agent": " caf\xe9 "}
            await (await upstream.send("GET", "/a?b=\xff%20c", headers, b"")).close()
            return engine.head

    head = coroutines.run(run())

    assert head.startswith(b"GET /a?b=%FF%20c HTTP/1.1\r\n")
    assert b"caf\xe9\r\n" in head


def test_answer_that_is_not_read_fills_no_memory(tmp_path: Path) -> None:
    """The engine waits until what it has sent is read."""
    sent = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()
                sent += 65536
        except ConnectionError:
            writer.close()

    async def run() -> int:
        async with await asyncio.start_unix_server(flood, tmp_path / "s"):
            upstream = Upstream(tmp_path / "s")
            answer = await _ask(upstream)
            await anext(aiter(answer.chunks()))
            before = -1
            while before != sent:  # until the engine waits
                before = sent
                await asyncio.sleep(0.05)
            await answer.close()
            return sent

    assert coroutines.run(run()) < 4_000_000


def test_head_and_body_are_one_write(tmp_path: Path):
    async def run() -> None:
        came: list[bytes] = []

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(await reader.read(10_000))
            writer.write(_WHOLE)
            writer.close()

        async with await asyncio.start_unix_server(take, tmp_path / "engine.sock"):
            upstream = Upstream(tmp_path / "engine.sock")
            answer = await upstream.send("POST", "/v1/chat/completions", {"content-length": "5"}, b"whole")
            await answer.close()
            await upstream.close()

        assert came[0].endswith(b"\r\n\r\nwhole")

    coroutines.run(run())

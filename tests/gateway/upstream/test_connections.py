"""Connections to the engine are kept where that is safe, and only there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests import coroutines

from local_ai.gateway.upstream.connections import Connections
from local_ai.gateway.upstream.exchange import EngineAbsent, EngineGone, Exchange

_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
_HALF = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n"
_LAST = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"


class _Engine:
    """Gives each request the next of its answers, and counts its connections."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = iter(answers)
        self.connections: list[asyncio.StreamWriter] = []
        self.left = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(next(self._answers))
        except (asyncio.IncompleteReadError, ConnectionError, StopIteration):
            self.left.set()
        finally:
            writer.close()

    @asynccontextmanager
    async def run(self, socket_path: Path) -> AsyncIterator[Connections]:
        async with await asyncio.start_unix_server(self.handle, socket_path):
            connections = Connections(socket_path)
            yield connections
            for each in connections.idle:
                each.close()


async def _ask(connections: Connections) -> Exchange:
    return await connections.send("GET", "/health", {}, b"")


async def _ask_and_read(connections: Connections) -> bytes:
    exchange = await _ask(connections)
    try:
        return await exchange.read_all()
    finally:
        exchange.close()


@pytest.mark.parametrize("answer", [_WHOLE, _CHUNKED], ids=["sized", "chunked"])
def test_connection_is_used_again_after_a_whole_answer(tmp_path: Path, answer: bytes) -> None:
    async def run() -> int:
        engine = _Engine(*[answer] * 3)
        async with engine.run(tmp_path / "s") as connections:
            for _ in range(3):
                await _ask_and_read(connections)
            return len(engine.connections)

    assert coroutines.run(run()) == 1


def test_connection_that_the_engine_wants_closed_is_not_used_again(tmp_path: Path) -> None:
    async def run() -> int:
        engine = _Engine(_LAST, _WHOLE)
        async with engine.run(tmp_path / "s") as connections:
            for _ in range(2):
                await _ask_and_read(connections)
            return len(engine.connections)

    assert coroutines.run(run()) == 2


def test_answer_that_nobody_waits_for_any_more_is_cancelled_by_closing(tmp_path: Path) -> None:
    async def run() -> int:
        engine = _Engine(_HALF, _WHOLE)
        async with engine.run(tmp_path / "s") as connections:
            (await _ask(connections)).close()
            await asyncio.wait_for(engine.left.wait(), 10)
            await _ask_and_read(connections)
            return len(engine.connections)

    assert coroutines.run(run()) == 2


def test_engine_that_ended_meanwhile_costs_nothing(tmp_path: Path) -> None:
    """A kept connection that has ended is never written to."""

    async def run() -> bytes:
        engine = _Engine(_WHOLE, _CHUNKED)
        async with engine.run(tmp_path / "s") as connections:
            await _ask_and_read(connections)
            engine.connections[0].transport.abort()
            await engine.left.wait()
            while connections.idle:
                await asyncio.sleep(0)
            return await _ask_and_read(connections)

    assert coroutines.run(run()) == b"abcd"


def test_connection_that_is_about_to_be_told_its_end_is_not_used(tmp_path: Path) -> None:
    async def run() -> bytes:
        engine = _Engine(_WHOLE, _CHUNKED)
        async with engine.run(tmp_path / "s") as connections:
            await _ask_and_read(connections)
            connections.idle[0].close()
            return await _ask_and_read(connections)

    assert coroutines.run(run()) == b"abcd"


def test_connection_that_ends_with_a_request_on_it_tells_that_the_engine_ended(tmp_path: Path) -> None:
    async def run() -> None:
        engine = _Engine(_WHOLE)
        async with engine.run(tmp_path / "s") as connections:
            await _ask_and_read(connections)
            with pytest.raises(EngineGone):
                await _ask_and_read(connections)  # there is no further answer: the connection ends

    coroutines.run(run())


def test_connection_is_closed_after_a_while_without_a_request(tmp_path: Path) -> None:
    async def run() -> list[object]:
        engine = _Engine(_WHOLE)
        async with engine.run(tmp_path / "s") as connections:
            connections.idle_s = 0.01
            await _ask_and_read(connections)
            await asyncio.wait_for(engine.left.wait(), 10)
            return [*connections.idle]

    assert coroutines.run(run()) == []


def test_nobody_who_listens_is_told_apart_from_an_end(tmp_path: Path) -> None:
    with pytest.raises(EngineAbsent):
        coroutines.run(_ask_and_read(Connections(tmp_path / "none")))

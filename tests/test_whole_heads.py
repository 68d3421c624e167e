"""A response's head waits for the first piece of its body, and for nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.coroutines import run
from uvicorn.server import ServerState

from local_ai.whole_heads import WholeHeadsProtocol


class Recorder(asyncio.Transport):
    """A transport that notes what is given to it; a real one may join or split it on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[bytes | str] = []

    def write(self, data: Any) -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done

    def get_write_buffer_size(self) -> int:
        return 0


async def slow(_request: Request) -> Response:
    async def pieces() -> Any:
        yield b"one"
        await asyncio.sleep(0.01)
        yield b"two"

    return StreamingResponse(pieces())


async def whole(_request: Request) -> Response:
    return JSONResponse({"a": 1})


async def silent(_request: Request) -> Response:
    async def pieces() -> Any:
        await asyncio.sleep(3600)
        yield b""

    return StreamingResponse(pieces())


def asked(request: bytes, until: Callable[[list[bytes | str]], bool]) -> list[bytes | str]:
    """Have a request answered over a recorded transport; return what was written, and when it was closed."""

    async def ask() -> list[bytes | str]:
        routes = [Route("/slow", slow), Route("/whole", whole), Route("/silent", silent)]
        config = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None, ws="none")
        config.load()
        protocol = WholeHeadsProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        recorder = Recorder()
        protocol.connection_made(recorder)
        protocol.data_received(request)
        async with asyncio.timeout(10):
            while not until(recorder.done):
                await asyncio.sleep(0)
        protocol.connection_lost(None)
        return recorder.done

    return run(ask())


def test_a_whole_answer_is_one_piece():
    (answer,) = asked(b"GET /whole HTTP/1.1\r\nhost: a\r\n\r\n", lambda done: bool(done))[:1]

    assert isinstance(answer, bytes)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'\r\n\r\n{"a":1}')


def test_a_streams_head_comes_with_its_first_piece_and_the_next_one_by_itself():
    done = asked(
        b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n",
        lambda done: any(b"two" in each for each in map(_bytes, done)),
    )

    assert _bytes(done[0]).endswith(b"\r\n\r\n3\r\none\r\n")
    assert _bytes(done[1]) == b"3\r\ntwo\r\n"


def test_a_head_whose_body_does_not_come_is_not_held():
    done = asked(b"GET /silent HTTP/1.1\r\nhost: a\r\n\r\n", bool)

    assert _bytes(done[0]).endswith(b"\r\n\r\n")


def test_a_head_without_a_body_is_sent_before_the_connection_closes():
    done = asked(
        b"HEAD /whole HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", lambda done: "closed" in done
    )

    assert _bytes(done[0]).startswith(b"HTTP/1.1 200 OK\r\n")
    assert done[1] == "closed"


def _bytes(piece: bytes | str) -> bytes:
    return piece if isinstance(piece, bytes) else piece.encode()

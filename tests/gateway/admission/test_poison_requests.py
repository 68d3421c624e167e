"""A request that ends the engine takes nobody along: it is refused, and those beside it are answered."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.gateway.fakes import make_patient_state, run_gateway
from tests.server import wait_until
from tests.waits import scaled

CHAT = "/v1/chat/completions"
POISON = {"messages": [{"role": "user", "content": "poison"}]}


class MortalEngine:
    """An engine that ends on one request, with all it has at hand, and is there again at once.

    What comes before its first end is not answered, so that it is on its way when the end comes.
    """

    def __init__(self) -> None:
        self.deaths = 0
        self._under_way: set[asyncio.StreamWriter] = set()
        self._has_died = asyncio.Event()

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health"):
            health = {"state": "ready", "since": 0, "model": None, "running": 0, "waiting": 0}
            await self._answer(writer, {**health, "text": "mlx-lm"})
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        body = await reader.readexactly(int(length.partition(b":")[2]))
        self._under_way.add(writer)
        if b"poison" in body:
            self._die()
            return
        await self._has_died.wait()
        await self._answer(writer, {"echo": json.loads(body)["messages"][0]["content"]})

    def _die(self) -> None:
        self.deaths += 1
        for writer in self._under_way:
            writer.transport.abort()
        self._under_way.clear()
        self._has_died.set()

    async def _answer(self, writer: asyncio.StreamWriter, value: object) -> None:
        if writer.transport.is_closing():
            return
        body = json.dumps(value).encode()
        size = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + size + body)
        await writer.drain()
        self._under_way.discard(writer)
        writer.close()


@contextmanager
def mortal_engine(socket_path: Path) -> Iterator[MortalEngine]:
    """Serve one from a thread."""
    engine = MortalEngine()
    listening, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with await asyncio.start_unix_server(engine.handle, socket_path):
            listening.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert listening.wait(scaled(10))
    try:
        yield engine
    finally:
        done.set()
        thread.join(10)


def test_poisonous_request_is_refused_after_two_deaths_and_bystanders_are_answered(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=scaled(10))
    with (
        mortal_engine(state.paths.engine_socket) as engine,
        run_gateway(state) as gateway,
        httpx.Client(base_url=gateway.url, timeout=scaled(60)) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        beside = [
            pool.submit(client.post, CHAT, json={"messages": [{"role": "user", "content": f"{number}"}]})
            for number in range(7)
        ]
        wait_until(lambda: engine.under_way == 7)

        poisonous = client.post(CHAT, json=POISON)

        assert (poisonous.status_code, poisonous.json()["error"]["code"]) == (422, "request_ends_engine")
        answers = [future.result() for future in beside]
        assert [(answer.status_code, answer.json()["echo"]) for answer in answers] == [
            (200, f"{number}") for number in range(7)
        ]
        assert client.post(CHAT, json=POISON).status_code == 422
        assert engine.deaths == 2


def test_poisonous_stream_ends_in_words_too(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=scaled(10))
    with mortal_engine(state.paths.engine_socket) as engine, run_gateway(state) as gateway:
        answer = httpx.post(f"{gateway.url}{CHAT}", json=POISON | {"stream": True}, timeout=scaled(60))

    assert "request_ends_engine" in answer.text
    assert engine.deaths == 2

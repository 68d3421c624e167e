"""A server with one model, written with sockets alone so that it can end at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Replica:
    """Does with each request as it is told, and remembers the questions."""

    mode: str = "answers"  # refuses | dies | breaks | hangs | says
    says: bytes = b""  # its whole answer, after which it closes the connection
    refuses_key: str = ""  # at its list | at all other addresses
    paths: tuple[bytes, ...] = (b"/v1/chat",)  # that it has
    asked: list[str] = field(default_factory=list)
    open: int = 0  # requests that it has now
    is_silent: bool = False  # says nothing of its models either
    port: int = 0
    _server: asyncio.Server | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    @contextlib.contextmanager
    def run(self) -> Iterator[Replica]:
        """Listen on a free port."""
        listening, done = threading.Event(), asyncio.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await self._listen()
            listening.set()
            await done.wait()
            await self._end()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert listening.wait(10)
        try:
            yield self
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(done.set)
            thread.join(10)

    def kill(self) -> None:
        """End as a process does: nothing listens, and each connection is closed at once."""
        self._do(self._end())

    def start(self) -> None:
        """Listen again, at the same port."""
        self._do(self._listen())

    def reset(self) -> None:
        """Answer again, with nothing asked yet."""
        self.mode, self.is_silent, self.refuses_key = "answers", False, ""
        self.asked.clear()

    def _do(self, work: object) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._connections:
            writer.transport.abort()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = next((line for line in head.splitlines() if line.startswith(b"content-length:")), b":0")
        body = await reader.readexactly(int(size.partition(b":")[2]))
        if self.is_silent:
            await reader.read()
        elif self.refuses_key == ("list" if head.startswith(b"get /v1/models") else "others"):
            _say(writer, 401, {"error": {"message": "your key sk-of-the-peer is wrong"}})
        elif head.startswith(b"get /v1/models"):
            _say(writer, 200, {"data": [{"id": "shared"}]})
        elif body == b"?":
            _say(writer, 400 if any(b"post " + path in head for path in self.paths) else 404, {})
        else:
            self.asked.append(json.loads(body).get("messages", [{"content": ""}])[0]["content"])
            self.open += 1
            try:
                await self._do_as_told(reader, writer)
            finally:
                self.open -= 1

    async def _do_as_told(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self.mode:
            case "dies":
                writer.transport.abort()
            case "refuses":
                _say(writer, 429, {"error": {"message": "full"}})
            case "says":
                writer.write(self.says)
                await writer.drain()
                writer.close()
                raise ConnectionResetError
            case "hangs":
                await reader.read()  # until it is left
            case "breaks":
                writer.write(_EVENTS + b"b\r\ndata: one\n\n\r\n" + b'9\r\ndata: {"h\r\n')
                await writer.drain()
                writer.close()
                await asyncio.sleep(0)
                raise ConnectionResetError
            case _:
                _say(writer, 200, {"said": "yes"})


def _say(writer: asyncio.StreamWriter, status: int, value: object) -> None:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)

"""The programs' logs: their last lines as text, and what comes after as server-sent events."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import WithJsonSchema
from starlette.types import Message, Receive, Scope, Send

from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.query import number_parameter, refusals, whole_number
from local_ai.serving.errors import ApiError
from local_ai.serving.sse import COMMENT, HEADERS, batches
from local_ai.supervision.log_files import follow, tail
from local_ai.supervision.program import LOG_NAMES

_LINES = 200
_MOST_LINES = 5000
_POLL_S = 0.3
_COMMENT_S = 15.0
# A client that reads slower than a program writes misses lines rather than filling our memory.
_MOST_UNREAD = 10_000
_Program = Annotated[str, WithJsonSchema({"enum": [*LOG_NAMES]})]  # another one is refused in words


def log_router(context: GatewayContext) -> APIRouter:
    """Answer `/logs/PROGRAM` and `/logs/PROGRAM/stream`."""
    router = APIRouter(responses=refusals(401, 403))
    paths = context.state.paths
    describes: dict[str, Any] = {
        "responses": refusals(400, 404),
        "openapi_extra": {"parameters": [number_parameter("lines", most=_MOST_LINES)]},
    }

    @router.get("/logs/{program}", response_class=PlainTextResponse, **describes)
    async def last_lines(request: Request, program: _Program) -> Response:
        """Return the last lines of a program's log."""
        file, lines = paths.log(known_log(program)), _lines(request)
        text = await asyncio.to_thread(tail, file, lines=lines)
        return PlainTextResponse("".join(f"{line}\n" for line in text), headers={"Cache-Control": "no-store"})

    @router.get("/logs/{program}/stream", response_class=PlainTextResponse, **describes)
    async def stream(request: Request, program: _Program) -> Response:
        """Follow a program's log as server-sent events, from its last lines on."""
        file, lines = paths.log(known_log(program)), _lines(request)
        return _LogStream(file, lines, context.forwarding.shutdown.stopping)

    return router


def _lines(request: Request) -> int:
    return whole_number(request, "lines", default=_LINES, most=_MOST_LINES)


def known_log(program: str) -> str:
    """Return the name of a program that has a log.

    Raises:
        ApiError: There is none of that name.
    """
    if program in LOG_NAMES:
        return program
    raise ApiError(
        f'there is no log of "{program}"',
        status=404,
        why="no program of that name is run here",
        fix="use one of: " + ", ".join(LOG_NAMES),
    )


class _LogStream(StreamingResponse):
    """A log as events, from its last lines on; ends when the client leaves or the server stops."""

    def __init__(self, file: Path, lines: int, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        super().__init__(_with_comments(_log_events(file, lines)), headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_or_stop() -> Message:
            # A server that stops is to the stream what a client that leaves is.
            leaves = asyncio.ensure_future(receive())
            stops = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait({leaves, stops}, return_when=asyncio.FIRST_COMPLETED)
            message: Message = leaves.result() if leaves.done() else {"type": "http.disconnect"}
            leaves.cancel()
            stops.cancel()
            return message

        await super().__call__(scope, receive_or_stop, send)


async def _with_comments(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for together in batches(events, every_s=_COMMENT_S):
        yield b"".join(together) or COMMENT


async def _log_events(file: Path, lines: int) -> AsyncIterator[bytes]:
    # The page empties its view on this: after a reconnection the last lines come once more.
    yield b"event: start\ndata:\n\n"
    reader = _Reader(file, lines)
    reader.start()
    try:
        while True:
            yield _event(await reader.unread.get())
    finally:
        reader.stop()


class _Stopped(Exception):
    """Ends a reader's thread."""


class _Reader:
    """Follows a log file from a thread of its own."""

    def __init__(self, file: Path, lines: int) -> None:
        self._file = file
        self._lines = lines
        self.unread: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._read, name="log-reader", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _read(self) -> None:
        # RuntimeError: the loop has been closed, and no reader is left.
        with contextlib.suppress(_Stopped, RuntimeError):
            for line in follow(self._file, lines=self._lines, wait=self._pause):
                if self.unread.qsize() < _MOST_UNREAD:
                    self._loop.call_soon_threadsafe(self.unread.put_nowait, line)

    def _pause(self) -> None:
        if self._stop.wait(_POLL_S):
            raise _Stopped


def _event(line: str) -> bytes:
    # A stray carriage return would end the field early.
    return f"data: {line.replace(chr(13), ' ')}\n\n".encode()

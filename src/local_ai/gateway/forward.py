"""Send one request to the engine and its answer to the client, as it comes.

    held at the gate ─▶ sent ─▶ answer begins ─▶ answer ends
      │        ▲            │          └ lost: an error event ends the stream
      │        └────────────┴ lost before anything came: held and sent once more
      └ refused, or lost twice: an error answer, or an error event once a stream has begun

A client that asked for a stream gets its head and then a comment every few seconds when the wait is long,
so that neither it nor anything between gives up. A client that leaves is noticed at once, and closing the
connection to the engine makes that stop too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from local_ai.gateway import events
from local_ai.gateway.answer import Answer, begin
from local_ai.gateway.dialect import error_body, error_event, stream_event
from local_ai.gateway.gate import Gate, stopping_refusal
from local_ai.gateway.refusal import Refusal
from local_ai.gateway.routes import Route
from local_ai.gateway.upstream import EngineAbsent, EngineGone, Upstream
from local_ai.gateway.watch import Watch

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_LOG = logging.getLogger("local_ai.gateway")
# A process that is ending may still seem to listen for a moment.
_AFTER_DEATH_S = 0.2


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    route: Route
    headers: Mapping[str, str]
    body: bytes
    streams: bool  # the client asked for server-sent events


@dataclass(frozen=True)
class Lane:
    """What every call needs on its way."""

    upstream: Upstream
    gate: Gate
    watch: Watch
    stopping: asyncio.Event
    comment_s: float = 5.0  # a waiting stream says so this often
    grace_s: float = 3.0  # running answers get this long once the gateway is told to stop


class _Sent(Enum):
    """What the client has got so far."""

    NOTHING = 0
    EVENTS = 1
    BYTES = 2


class Forward(Response):
    """The answer to a call: what the engine says, or why it says nothing."""

    def __init__(self, call: Call, lane: Lane) -> None:
        super().__init__()
        self._call = call
        self._lane = lane
        self._sent = _Sent.NOTHING

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client leaves first."""
        started = time.monotonic()
        answer = asyncio.create_task(self._answer(send))
        left = asyncio.create_task(_disconnected(receive))
        cut = asyncio.create_task(self._stopped())
        tasks = (answer, left, cut)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished = answer.done()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if finished:
            outcome = answer.result()
        elif not left.cancelled():
            outcome = "client left"
        else:
            outcome = await self._refuse(stopping_refusal(), send)
        _LOG.info("POST %s: %s, %.2f s", self._call.route.path, outcome, time.monotonic() - started)

    async def _stopped(self) -> None:
        await self._lane.stopping.wait()
        await asyncio.sleep(self._lane.grace_s)

    async def _answer(self, send: Send) -> str:
        """Run the call to its end; returns what to log."""
        try:
            answer = await self._open(send)
            try:
                return await self._relay(answer, send)
            except EngineGone as exc:
                self._lane.watch.engine_is_gone()
                raise _lost("before its answer was whole") from exc
            finally:
                await answer.close()
        except Refusal as refusal:
            return await self._refuse(refusal, send)

    async def _open(self, send: Send) -> Answer:
        opening = asyncio.create_task(self._request())
        try:
            while self._call.streams:
                done, _ = await asyncio.wait({opening}, timeout=self._lane.comment_s)
                if done:
                    break
                await self._begin(send, _Sent.EVENTS, 200, events.HEADERS)
                await _send_chunk(send, events.COMMENT)
            return await opening
        finally:
            # Matters where the client has left: the engine must not go on with its request.
            opening.cancel()

    async def _request(self) -> Answer:
        try:
            return await self._request_once()
        except EngineGone:
            # Nothing has reached the client, so nobody can tell that it was asked twice.
            self._lane.watch.engine_is_gone()
            _LOG.warning("the engine ended on a request that had not begun; it is sent once more")
            await asyncio.sleep(_AFTER_DEATH_S)
        try:
            return await self._request_once()
        except EngineGone as exc:
            self._lane.watch.engine_is_gone()
            raise _lost("twice before it answered", fix="send less, or name another model") from exc

    async def _request_once(self) -> Answer:
        call, lane = self._call, self._lane
        while True:
            await lane.gate.pass_through()
            try:
                return await begin(await lane.upstream.post(call.route.path, call.headers, call.body))
            except EngineAbsent:
                # Nothing was sent, so it waits at the gate like any other.
                lane.watch.engine_is_gone()

    async def _relay(self, answer: Answer, send: Send) -> str:
        if answer.is_json:
            return await self._give(send, answer.status, answer.headers, answer.first)
        chunks = answer.chunks()
        if answer.is_events:
            await self._begin(send, _Sent.EVENTS, answer.status, answer.headers)
            chunks = events.with_comments(events.whole_events(chunks), every_s=self._lane.comment_s)
        else:
            await self._begin(send, _Sent.BYTES, answer.status, answer.headers)
        async for chunk in chunks:
            await _send_chunk(send, chunk)
        await _send_end(send)
        return f"{answer.status}, streamed"

    async def _refuse(self, refusal: Refusal, send: Send) -> str:
        begun = self._sent is not _Sent.NOTHING
        body = JSONResponse(error_body(self._call.route.dialect, refusal), refusal.status, refusal.headers)
        match self._sent:
            case _Sent.NOTHING:
                await self._give(send, refusal.status, dict(body.headers), bytes(body.body))
            case _Sent.EVENTS:
                await _send_chunk(send, error_event(self._call.route.dialect, refusal))
                await _send_end(send)
            case _Sent.BYTES:
                # Nothing can be said within sound or an image: left unfinished, the server closes it.
                pass
        return f"{'cut' if begun else refusal.status}, {refusal.what}"

    async def _give(self, send: Send, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """Give a whole answer; within a stream that has begun, it can only be an error."""
        if self._sent is _Sent.NOTHING:
            sized = {**headers, "content-length": str(len(body))}
            await self._begin(send, _Sent.BYTES, status, sized)
            await _send_chunk(send, body)
        else:
            await _send_chunk(send, stream_event(self._call.route.dialect, body.decode("utf-8", "replace")))
        await _send_end(send)
        return str(status)

    async def _begin(self, send: Send, sent: _Sent, status: int, headers: Mapping[str, str]) -> None:
        if self._sent is not _Sent.NOTHING:
            return
        self._sent = sent
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _send_end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _lost(when: str, *, fix: str = "send the request again") -> Refusal:
    return Refusal(
        f"the engine ended {when}",
        status=503,
        why="its process stopped or crashed; supervisord starts it again",
        fix=f"{fix}; why it ended is in: inv server.logs --program mlx-omni-server",
        code="engine_lost",
        retry_after_s=5,
    )

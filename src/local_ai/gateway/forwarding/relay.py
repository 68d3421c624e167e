"""Send one request to the engine and its answer to the client, as it comes.

    queued ─▶ held until ready ─▶ sent  ─▶ answer begins ─▶ answer ends
                 │        ▲          │          └ lost: an error event ends the stream
                 │        └──────────┴ lost before anything was said: sent again, alone (see quarantine)
                 └ refused, or a poison request: an error answer, or an error event once a stream has begun

A client that asked for a stream gets its head and then a comment every few seconds when the wait is long,
so that neither it nor anything between gives up. A client that leaves is noticed at once, and closing the
connection to the engine makes that stop too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import Receive, Send

from local_ai.gateway.activity import Activity, EndedRequest
from local_ai.gateway.admission.omni import OmniGate
from local_ai.gateway.admission.quarantine import Flight, Quarantine, Turn
from local_ai.gateway.admission.queue import QueuedCall, RequestQueue
from local_ai.gateway.admission.readiness import ReadinessGate, stopping_refusal
from local_ai.gateway.admission.shutdown import Shutdown
from local_ai.gateway.forwarding.reply import Reply, Sent
from local_ai.gateway.forwarding.routes import Route
from local_ai.gateway.metrics import Metrics, Outcome
from local_ai.gateway.upstream.client import EngineAbsent, EngineAnswer, EngineGone, Upstream
from local_ai.gateway.upstream.engine_exits import ended_from_outside, memory_kills
from local_ai.gateway.upstream.monitor import Monitor
from local_ai.serving.errors import ApiError
from local_ai.serving.request_id import REQUEST_ID
from local_ai.serving.sse import WholeEvents, batches, until_gone
from local_ai.status.health import RequestState
from local_ai.supervision.program import ENGINE

_LOG = logging.getLogger("local_ai.gateway")
# A process that is ending may still seem to listen for a moment.
_AFTER_DEATH_S = 0.2
# Until then it is not watched whether the client leaves: that costs more than a short answer takes.
_SOON_S = 0.05
# How often the engine may crash on one request; more would only end it more often.
_MOST_CRASHES = 3
# How often it may be ended from outside.
_MOST_SENT = 20


@dataclass(frozen=True)
class ForwardingContext:
    """Everything that a forwarded call needs on its way."""

    upstream: Upstream
    gate: ReadinessGate | OmniGate
    watch: Monitor
    request_queue: RequestQueue
    shutdown: Shutdown
    supervisor_log: Path
    program: str = ENGINE  # which one answers
    quarantine: Quarantine = field(default_factory=Quarantine)
    metrics: Metrics = field(default_factory=Metrics)
    activity: Activity = field(default_factory=Activity)
    comment_s: float = 5.0  # a waiting stream says so this often
    grace_s: float = 3.0  # running answers get this long once the gateway is told to stop


class Forward:
    """The answer to a call: what the engine says, or why it says nothing."""

    def __init__(self, call: Call, forwarding: ForwardingContext) -> None:
        self._call = call
        self._forwarding = forwarding
        self._first_at: float | None = None
        self._has_left = False  # the client
        self._turn: Turn | None = None  # as a suspect
        self._flight: Flight | None = None  # while the engine has it

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Answer, unless the client leaves first."""
        call, forwarding = self._call, self._forwarding
        reply = Reply(send, call.route.dialect)
        with forwarding.request_queue.queued(call.route.path, call.model, streams=call.streams) as queued:
            outcome = await self._answer_or_leave(reply, queued, receive)
            took, first = queued.seconds, self._first_at and self._first_at - queued.arrived
        # As it was sent, of several places that could answer.
        model = queued.model
        forwarding.metrics.record(call.route.dialect, model, outcome, seconds=took, first_s=first)
        forwarding.activity.note(
            EndedRequest(
                id=REQUEST_ID.get(),
                at=time.time(),
                path=call.route.path,
                client=call.client,
                model=model,
                outcome=outcome.kind,
                text=outcome.text,
                seconds=round(took, 3),
                first_s=first and round(first, 3),
            )
        )
        _LOG.info("%s %s: %s, %.2f s", call.method, call.route.path, outcome.text, took)

    async def _answer_or_leave(self, reply: Reply, queued: QueuedCall, receive: Receive) -> Outcome:
        watching: list[asyncio.Task[None]] = []
        answering = asyncio.timeout(None)

        def watch() -> None:
            watching.append(asyncio.create_task(self._keep_watch(answering, reply, queued, receive)))

        soon = asyncio.get_running_loop().call_later(_SOON_S, watch)
        try:
            async with answering:
                return await self._answer(reply, queued)
        except TimeoutError:
            if not answering.expired():
                raise  # not ours: a lost network drive, for one
            if self._has_left:
                return Outcome("client_left", "client left")
            return await self._refuse(stopping_refusal(), reply)
        finally:
            soon.cancel()
            for task in watching:
                task.cancel()

    async def _keep_watch(
        self, answering: asyncio.Timeout, reply: Reply, queued: QueuedCall, receive: Receive
    ) -> None:
        """Tell a waiting client so; end the answer once its client leaves or the gateway stops."""
        forwarding, streams = self._forwarding, self._call.streams
        left = asyncio.create_task(until_gone(receive))
        stopping = asyncio.create_task(forwarding.shutdown.stopping.wait())
        try:
            while not await _first_of(left, stopping, timeout_s=forwarding.comment_s):
                if streams and reply.quiet_s() >= forwarding.comment_s / 2 and reply.sent in _CAN_BE_TOLD:
                    await reply.comment(self._waiting_text(queued))
            if not left.done():
                await asyncio.wait([left], timeout=forwarding.grace_s)
            self._has_left = left.done()
            answering.reschedule(asyncio.get_running_loop().time())
        finally:
            left.cancel()
            stopping.cancel()

    def _waiting_text(self, queued: QueuedCall) -> str:
        place = self._forwarding.request_queue.position(queued)
        return (
            f"waiting, position {place} of {self._forwarding.request_queue.waiting}" if place else "waiting"
        )

    async def _answer(self, reply: Reply, queued: QueuedCall) -> Outcome:
        """Run the call to its end."""
        try:
            return await self._run(reply, queued)
        except ApiError as refusal:
            return await self._refuse(refusal, reply)

    async def _run(self, reply: Reply, queued: QueuedCall) -> Outcome:
        """Run the call here.

        Raises:
            ApiError: It is refused, or was lost.
        """
        call, forwarding = self._call, self._forwarding
        forwarding.quarantine.check(call.target, call.body, call.model)
        if not call.route.queues:
            return await self._tries(reply, queued)
        async with forwarding.request_queue.admit(queued):
            return await self._tries(reply, queued)

    async def _tries(self, reply: Reply, queued: QueuedCall) -> Outcome:
        """Send it, and again where the engine ends before the client has heard anything."""
        try:
            return await self._try(reply, queued)
        except EngineGone as exc:
            self._lost(reply, exc)
        crashes = 1
        for _ in range(_MOST_SENT - 1):
            async with self._forwarding.quarantine.turn() as self._turn:
                await asyncio.sleep(_AFTER_DEATH_S)
                before = memory_kills()
                try:
                    return await self._try(reply, queued)
                except EngineGone as exc:
                    self._lost(reply, exc)
                    crashes += await self._count_crash(before)
                if crashes == _MOST_CRASHES:
                    break
        raise engine_lost("each time before it answered", self._forwarding.program)

    async def _count_crash(self, memory_kills_before: int) -> int:
        """Return 1 if the engine crashed on its turn, 0 if it was ended from outside.

        Raises:
            ApiError: 422, it crashed and had nothing else to do.
        """
        flight, call, forwarding = self._flight, self._call, self._forwarding
        assert flight is not None
        was_alone = flight.is_alone
        if await ended_from_outside(
            forwarding.supervisor_log,
            program=forwarding.program,
            since=flight.began,
            memory_kills_before=memory_kills_before,
        ):
            return 0
        if was_alone:
            raise forwarding.quarantine.isolate(call.target, call.body, call.model)
        return 1

    def _lost(self, reply: Reply, exc: EngineGone) -> None:
        """Continue only if no client can notice that the request was sent twice."""
        self._forwarding.watch.engine_is_gone()
        if self._forwarding.shutdown.closed.is_set():
            raise stopping_refusal() from exc
        if not reply.is_silent:
            raise engine_lost("before its answer was whole", self._forwarding.program) from exc
        _LOG.warning("the engine ended before it began to answer a request; it is sent again")

    async def _try(self, reply: Reply, queued: QueuedCall) -> Outcome:
        call, forwarding = self._call, self._forwarding
        while True:
            await self._until_engine_is_free(queued)
            with forwarding.quarantine.flight() as self._flight:
                try:
                    answer = await forwarding.upstream.send(call.method, call.target, call.headers, call.body)
                except EngineAbsent:
                    # Nothing was sent, so it waits at the gate like any other.
                    forwarding.watch.engine_is_gone()
                    continue
                try:
                    return await self._relay(answer, reply)
                finally:
                    queued.state = RequestState.HELD
                    await answer.close()

    async def _until_engine_is_free(self, queued: QueuedCall) -> None:
        """Wait until the engine can take a request, and this one in particular."""
        forwarding, queued.state = self._forwarding, RequestState.HELD
        await forwarding.gate.pass_through(queued.seconds)
        while self._turn is None and forwarding.quarantine.holds_others:
            await forwarding.quarantine.until_no_suspect()
            await forwarding.gate.pass_through(queued.seconds)
        if self._turn is not None:
            self._turn.begin()
        queued.state = RequestState.RUNNING

    async def _relay(self, answer: EngineAnswer, reply: Reply) -> Outcome:
        if answer.media_type == "application/json":
            # Whole, so that none is ever given by half.
            body = await answer.read()
            self._note_answer(answer.status)
            await reply.whole(answer.status, answer.headers, body)
            return Outcome("answered" if answer.status < 400 else "refused", str(answer.status))
        if answer.media_type == self._call.route.dialect.framing.media_type:
            await self._relay_events(answer, reply)
        else:
            await self._relay_bytes(answer, reply)
        await reply.end()
        return Outcome("answered", f"{answer.status}, streamed")

    async def _relay_events(self, answer: EngineAnswer, reply: Reply) -> None:
        whole = WholeEvents(self._call.route.dialect.framing.boundary)
        await self._pass_on(answer, reply, whole.feed)
        if rest := whole.rest():
            await reply.write(rest)

    async def _pass_on(self, answer: EngineAnswer, reply: Reply, whole: Callable[[bytes], bytes]) -> None:
        """Give the client the events of a stream, once each is whole."""
        async with aclosing(batches(answer.chunks())) as chunks:
            async for together in chunks:
                if events := whole(b"".join(together)):
                    await reply.begin(answer.status, answer.headers, Sent.EVENTS)
                    await reply.pass_on_events(events)
                    if self._first_at is None and not reply.is_silent:
                        self._note_answer(answer.status)

    async def _relay_bytes(self, answer: EngineAnswer, reply: Reply) -> None:
        async for chunk in answer.chunks():
            if reply.is_silent:
                self._note_answer(answer.status)
                await reply.begin(answer.status, answer.headers, Sent.BYTES)
            await reply.write(chunk)
        await reply.begin(answer.status, answer.headers, Sent.BYTES)  # where the body is empty

    def _note_answer(self, status: int) -> None:
        """Note when the answer itself began, and that the model can answer."""
        if self._turn is not None:
            self._turn.end()
        if status < 400:
            self._first_at = time.monotonic()
            self._forwarding.quarantine.answered(self._call.model)

    async def _refuse(self, refusal: ApiError, reply: Reply) -> Outcome:
        begun = reply.sent is not Sent.NOTHING
        await reply.refuse(refusal)
        kind = "queue_full" if refusal.status == 429 else "cut" if begun else "failed"
        return Outcome(kind, f"{'cut' if begun else refusal.status}, {refusal.what}")


_CAN_BE_TOLD = {Sent.NOTHING, Sent.EVENTS}


async def _first_of(*tasks: asyncio.Task[Any], timeout_s: float) -> bool:
    """Wait for one of them to end; return whether one has, within the time."""
    done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


def engine_lost(when: str, program: str = ENGINE) -> ApiError:
    """Return the error for a request whose answer the engine did not finish."""
    return ApiError(
        f"the engine ended {when}",
        status=503,
        why="its process stopped or crashed; supervisord starts it again",
        fix="send the request again; why it ended is in",
        command=f"local-ai server logs --program {program}",
        code="engine_lost",
        retry_after_s=5,
    )


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    route: Route
    method: str
    target: str  # path and query, as the client sent them
    headers: dict[str, str]
    body: bytes
    streams: bool = False  # the client asked for a stream
    model: str | None = None  # as the engine will know it, ready to be shown
    asked: str | None = None  # the model as the request names it; None where it names none
    client: str = ""  # as it names itself

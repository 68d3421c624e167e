"""Send a request to a peer, or to one of several machines, and its answer to the client.

    chosen ─▶ queued for it ─▶ sent ─▶ answer begins ─▶ answer ends
      ▲                          │          └ lost: an error event ends the stream
      └──────────────────────────┴ lost, refused for now, or away, before anything was said: the next machine

Never at two machines at once: what was sent to one is closed before it is sent to another.
"""

import asyncio
import time
from http import HTTPStatus

from local_ai.gateway.admission.queue import QueuedCall
from local_ai.gateway.admission.readiness import stopping_refusal
from local_ai.gateway.forwarding.relay import Call, Forward, ForwardingContext
from local_ai.gateway.forwarding.reply import Reply, Sent
from local_ai.gateway.metrics import Outcome
from local_ai.gateway.peers.affinity import Affinity, Place
from local_ai.gateway.peers.answer import PeerEvents, WholeAnswer, is_error, said_in, strike
from local_ai.gateway.peers.client import AnswerTooLong, PeerAnswer
from local_ai.gateway.peers.errors import (
    peer_away,
    peer_error,
    peer_lost,
    peer_refused_key,
    peer_unfinished,
    peer_unusable,
    redirected,
)
from local_ai.gateway.peers.peer import REFUSES_KEY, Peer
from local_ai.gateway.peers.trip import Trip
from local_ai.gateway.upstream.client import EngineAbsent, EngineGone
from local_ai.printable import printable
from local_ai.serving.errors import ApiError
from local_ai.status.health import RequestState

_HERE = ""  # no peer has that name
# Statuses of a machine that cannot take a request now, and did not begin one.
_NOT_NOW = (429, 502, 503)
# How many machines may end under one request; it may be the reason.
_MOST_LOST = 2
_STATUSES_END = 600
_MOST_ERROR_BYTES = 1024 * 1024
_MOST_KIND = 100  # characters of a content-type


class _NotBegunError(Exception):
    """A machine has said nothing of the answer, and will not."""

    def __init__(self, refusal: ApiError | None = None, answer: WholeAnswer | None = None) -> None:
        super().__init__()
        self.refusal = refusal
        self.answer = answer


class PeerForward(Forward):
    """The answer to a call that a peer can answer."""

    def __init__(self, call: Call, forwarding: ForwardingContext, trip: Trip, affinity: Affinity) -> None:
        super().__init__(call, forwarding)
        self._trip = trip
        self._affinity = affinity
        self._peers = {peer.name: peer for peer in trip.peers}
        self._is_at_peer = False
        self._lost_at = 0  # machines

    async def _run(self, reply: Reply, queued: QueuedCall) -> Outcome:
        """Try one machine after the other, until one has begun to answer."""
        left = [*([_HERE] if self._trip.is_here_too else []), *self._peers]
        last = _NotBegunError()
        while place := await self._choose(left):
            left.remove(place.name)
            try:
                if place.name == _HERE:
                    return await self._here(reply, queued)
                return await self._at(self._peers[place.name], reply, queued, is_last=not left)
            except _NotBegunError as exc:
                last = exc
            if self._lost_at >= _MOST_LOST:
                break
        if last.answer:
            await reply.whole(last.answer.status, last.answer.headers, last.answer.body)
            return Outcome("refused", str(last.answer.status))
        raise last.refusal or peer_away(self._trip.peers[0])

    async def _choose(self, left: list[str]) -> Place | None:
        """Choose a machine that can take the request now; None where none can."""
        if self._forwarding.shutdown.closed.is_set():
            raise stopping_refusal()
        places = [
            Place(peer.name, peer.load, is_full=peer.is_full)
            for peer in self._trip.peers
            if peer.name in left and peer.is_ready
        ]
        if _HERE in left and (await self._is_here_ready() or not places):
            requests = self._forwarding.request_queue
            places.append(Place(_HERE, requests.load, is_full=requests.load >= requests.most_running))
        if not places:
            return None
        place = self._affinity.choose(self._trip.beginnings, places)
        if self._trip.beginnings:
            self._affinity.note(self._trip.beginnings, place.name)
        return place

    async def _is_here_ready(self) -> bool:
        watch = self._forwarding.watch
        return watch.trusts_engine() or (await watch.look()).can_answer

    async def _here(self, reply: Reply, queued: QueuedCall) -> Outcome:
        self._is_at_peer, queued.peer, queued.model = False, None, self._call.model
        try:
            return await super()._run(reply, queued)
        except ApiError as refusal:
            if refusal.status not in _NOT_NOW or not reply.is_silent or refusal.code == "stopping":
                raise
            raise _NotBegunError(refusal) from refusal

    async def _at(self, peer: Peer, reply: Reply, queued: QueuedCall, *, is_last: bool) -> Outcome:
        """Have a peer answer; in the queue for it, where it has as many requests as it is given at once."""
        self._is_at_peer, queued.peer, queued.model = True, peer.name, f"{self._trip.model}@{peer.name}"
        if not self._call.route.queues:
            return await self._unless_away(peer, reply, queued, is_last=is_last)
        async with peer.queue.admit(queued):
            return await self._unless_away(peer, reply, queued, is_last=is_last)

    async def _unless_away(self, peer: Peer, reply: Reply, queued: QueuedCall, *, is_last: bool) -> Outcome:
        """Leave a peer that is found to be away before it has begun, if another machine can answer."""
        if is_last:
            return await self._tries_at(peer, reply, queued, is_last=True)
        answering = asyncio.create_task(self._tries_at(peer, reply, queued, is_last=False))
        away = asyncio.create_task(peer.until_away())
        try:
            await asyncio.wait({answering, away}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and reply.is_silent and reply.sent is not Sent.BYTES:
                self._lost_at += 1
                raise _NotBegunError(peer_away(peer))
            return await answering
        finally:
            away.cancel()
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _tries_at(self, peer: Peer, reply: Reply, queued: QueuedCall, *, is_last: bool) -> Outcome:
        queued.state = RequestState.RUNNING
        peer.running += 1
        try:
            try:
                return await self._try_at(peer, reply, is_last=is_last)
            except EngineGone as exc:
                self._check_silent(peer, reply, exc)
                # Most likely a connection that was kept for too long; the peer itself is still there.
                await peer.look(again=True)
                if not peer.is_ready:
                    raise
            return await self._try_at(peer, reply, is_last=is_last)
        except EngineAbsent as exc:
            peer.lost(exc)
            raise _NotBegunError(peer_away(peer)) from exc
        except EngineGone as exc:
            self._check_silent(peer, reply, exc)
            peer.lost(exc)
            self._lost_at += 1
            raise _NotBegunError(peer_lost(peer, "before it answered")) from exc
        finally:
            peer.running -= 1
            queued.state = RequestState.HELD

    def _check_silent(self, peer: Peer, reply: Reply, exc: EngineGone) -> None:
        """Go on only if no client can notice that the request is sent again."""
        if not reply.is_silent:
            peer.lost(exc)
            raise peer_lost(peer, "before its answer was whole") from exc

    async def _try_at(self, peer: Peer, reply: Reply, *, is_last: bool) -> Outcome:
        call = self._trip.call
        answer = await peer.client.send(call.method, call.target, call.headers, call.body)
        try:
            return await self._judge(peer, answer, reply, is_last=is_last)
        except AnswerTooLong as exc:
            raise peer_unusable(peer, str(exc)) from exc
        except ApiError as refusal:
            if is_last or refusal.status not in _NOT_NOW or not reply.is_silent:
                raise
            raise _NotBegunError(refusal) from refusal
        finally:
            await answer.close()

    async def _judge(self, peer: Peer, answer: PeerAnswer, reply: Reply, *, is_last: bool) -> Outcome:
        """Give the client an answer, once it is known to be one of the dialect.

        Raises:
            ApiError: It is none, or an error in another shape.
        """
        if answer.status in REFUSES_KEY:
            peer.refused_key(answer.status)
            raise peer_refused_key(peer, answer.status)
        if not HTTPStatus.OK <= answer.status < _STATUSES_END:
            raise peer_unusable(peer, f"it answered with the status {answer.status}, which is none of HTTP's")
        if 300 <= answer.status < 400:
            raise redirected(peer)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            return await self._pass_on_error(peer, answer, reply, is_last=is_last)
        peer.took_key()
        if answer.is_encoded:
            raise peer_unusable(peer, "its answer is compressed, which was not asked for")
        if answer.media_type == self._call.route.dialect.framing.media_type:
            return await self._relay_stream(peer, answer, reply)
        if answer.media_type != "application/json":
            kind = printable(answer.media_type[:_MOST_KIND]) or "nothing that has a content-type"
            raise peer_unusable(peer, f"it answered with {kind}, where JSON or events were asked for")
        if reply.sent is not Sent.NOTHING:
            raise peer_unusable(peer, "it answered without a stream, where one was asked for")
        return await self._relay(answer, reply)

    async def _pass_on_error(self, peer: Peer, answer: PeerAnswer, reply: Reply, *, is_last: bool) -> Outcome:
        dialect = self._call.route.dialect
        try:
            body = b"" if answer.is_encoded else await answer.read(_MOST_ERROR_BYTES)
        except AnswerTooLong:
            body = b""
        body = strike(body, peer.client.key)
        if not is_error(dialect, body):
            raise peer_error(peer, answer.status, said_in(body, answer.media_type), answer.headers)
        whole = WholeAnswer(answer.status, answer.headers | {"content-type": "application/json"}, body)
        if answer.status in _NOT_NOW and not is_last:
            raise _NotBegunError(answer=whole)
        await reply.whole(whole.status, whole.headers, whole.body)
        return Outcome("refused", str(whole.status))

    async def _relay_stream(self, peer: Peer, answer: PeerAnswer, reply: Reply) -> Outcome:
        events = PeerEvents(self._call.route.dialect, peer.client.key)
        await self._pass_on(answer, reply, events.feed)
        if not events.have_ended:
            raise peer_unfinished(peer)
        if rest := events.rest():
            await reply.begin(answer.status, answer.headers, Sent.EVENTS)
            await reply.write(rest)
        await reply.end()
        return Outcome("answered", f"{answer.status}, streamed")

    def _note_answer(self, status: int) -> None:
        if not self._is_at_peer:
            super()._note_answer(status)
        elif status < 400:
            self._first_at = time.monotonic()

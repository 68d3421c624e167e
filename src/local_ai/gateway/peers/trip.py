"""The machines that can answer a request: this one alone, a peer, or any of several."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaValidator, core_schema

from local_ai.gateway.forwarding.relay import Call
from local_ai.gateway.peers.affinity import beginnings_of
from local_ai.gateway.peers.errors import loop_refused, not_spoken, peer_away, peer_model_not_found
from local_ai.gateway.peers.peer import Peer, peer_path
from local_ai.models.catalog import find_model
from local_ai.models.library import find_target, library_of
from local_ai.serving.dialects import Dialect
from local_ai.serving.errors import ApiError
from local_ai.serving.json_body import parse_json
from local_ai.status.health import PeerState

if TYPE_CHECKING:
    from local_ai.gateway.context import GatewayContext
    from local_ai.settings.state import State

# Parsed and written in a thread from here on.
_LARGE_BYTES = 64 * 1024
_OBJECT = SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))


@dataclass(frozen=True)
class Trip:
    """The ways that a request can take."""

    peers: tuple[Peer, ...]
    is_here_too: bool  # this machine's engine has the model, too
    model: str  # as the peers call it
    call: Call  # as it is sent to them
    beginnings: tuple[bytes, ...] = ()  # of the conversation; none where there is one way


async def plan_trip(call: Call, context: GatewayContext, *, is_forwarded: bool) -> Trip | None:
    """Find the ways of a request; None where this machine answers as if there were no peers.

    Raises:
        ApiError: It names a peer that cannot answer it.
    """
    if call.asked is None or call.route.part is not None:
        return None
    state = context.state
    is_named = context.peers.named(call.asked)
    name = call.asked if is_named else find_target(call.asked, state.settings.all_aliases) or call.asked
    if named := context.peers.named(name):
        if find_model(call.asked, (await asyncio.to_thread(library_of, state)).models):
            return None  # a model of this machine, at a revision that is called so
        if is_forwarded:
            raise loop_refused(name)
        peer, model = named
        await _check(peer, model, call, state)
        return await _trip((peer,), call, model)
    if is_forwarded or not state.settings.routing.replicas:
        return None
    library = await asyncio.to_thread(library_of, state)
    here = library.find(call.asked)
    model = here.id if here else name
    peers = [peer for peer in context.peers.having(model) if peer.answers(call.route.path)]
    if call.route.dialect is Dialect.RESPONSES:
        # A kept answer is on the machine that gave it, so all of them have one place.
        peers = [] if here else peers[:1]
    return await _trip(peers, call, model, is_here_too=here is not None) if peers else None


async def _check(peer: Peer, model: str, call: Call, state: State) -> None:
    """Refuse what a peer cannot answer now; one that seems away is looked at first."""
    if not peer.is_ready:
        await peer.look()
    if peer.state is not PeerState.READY:
        raise peer_away(peer)
    if not peer.has(model):
        raise peer_model_not_found(peer, model)
    if not peer.answers(call.route.path):
        raise not_spoken(peer, model, call.route, local=state.default_model or state.settings.model.path)


async def _trip(peers: Sequence[Peer], call: Call, model: str, *, is_here_too: bool = False) -> Trip:
    is_open = len(peers) + is_here_too > 1

    def write() -> tuple[bytes, tuple[bytes, ...]]:
        body = parse_json(call.body, _OBJECT.validate_json)
        return _with_model(body, model), beginnings_of(model, body) if is_open else ()

    is_small = len(call.body) < _LARGE_BYTES
    body, beginnings = write() if is_small else await asyncio.to_thread(write)
    sent = replace(call, body=body, target=peer_path(call.target))
    return Trip(tuple(peers), is_here_too, model, sent, beginnings)


def _with_model(body: dict[str, Any], model: str) -> bytes:
    """Write a body for a peer, with its own name for the model."""
    try:
        return json.dumps(body | {"model": model}, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as exc:
        raise ApiError(
            "the request was not read",
            why="it has a number that is too large",
            fix="send smaller numbers",
            code="invalid_json",
        ) from exc

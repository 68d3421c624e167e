"""Errors for requests that a peer does not answer, in words that name it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from local_ai.printable import printable
from local_ai.serving.errors import ApiError
from local_ai.status.health import PeerState

if TYPE_CHECKING:
    from local_ai.gateway.forwarding.routes import Route
    from local_ai.gateway.peers.peer import Peer

_RETRY_S = 5
_MOST_SHOWN = 200  # characters of a name
_MOST_PATHS = 4


def peer_away(peer: Peer) -> ApiError:
    """Say that a peer is away (503)."""
    why = peer.why if peer.state is PeerState.AWAY else "it has not answered yet"
    return ApiError(
        f"the peer {peer.name} is away",
        status=503,
        why=f"{why} ({peer.settings.url})",
        fix="try again in a moment: it is looked for all the time; or ask for a model of another machine",
        code="peer_away",
        retry_after_s=_RETRY_S,
    )


def peer_lost(peer: Peer, when: str) -> ApiError:
    """Say that a peer ended while it had the request (503)."""
    return ApiError(
        f"the peer {peer.name} was lost {when}",
        status=503,
        why=f"{peer.why or 'it closed the connection'} ({peer.settings.url})",
        fix="send the request again",
        code="peer_lost",
        retry_after_s=_RETRY_S,
    )


def peer_model_not_found(peer: Peer, model: str) -> ApiError:
    """Say that a peer has no such model (404)."""
    ids = [each.id for each in peer.models]
    near = difflib.get_close_matches(model[:_MOST_SHOWN], ids, n=1, cutoff=0.5) or ids[:1]
    return ApiError(
        f"the model {printable(model[:_MOST_SHOWN])!r} is not at {peer.name}",
        status=404,
        why=f"the peer {peer.name} does not list it",
        fix=f"did you mean {near[0]}@{peer.name}?" if near else "take a name that /v1/models lists",
        code="model_not_found",
        param="model",
    )


def not_spoken(peer: Peer, model: str, route: Route, *, local: str | None) -> ApiError:
    """Say that a peer does not answer this path, and what would (400)."""
    others = [path for path in peer.paths if path != route.path][:_MOST_PATHS]
    fix = f"ask for {model}@{peer.name} at {' or '.join(others)}" if others else ""
    fix += f"{', or' if fix else ''} ask for {local} here" if local else ""
    return ApiError(
        f"the peer {peer.name} does not answer {route.path}",
        status=400,
        why=f"the server at {peer.settings.url} has no such address",
        fix=fix.strip() or "take a model of this machine",
        code="not_spoken_by_peer",
        param="model",
    )


def redirected(peer: Peer) -> ApiError:
    """Say that a peer sends requests elsewhere (502)."""
    return ApiError(
        f"the peer {peer.name} did not answer",
        status=502,
        why="it sends the request to another address, which is not followed",
        fix="set the address that answers as its url in [[peers]]",
        code="peer_redirects",
        may_retry=False,
    )


def loop_refused(name: str) -> ApiError:
    """Say that a request which a peer sent is not sent on (400)."""
    return ApiError(
        f"the model {printable(name[:_MOST_SHOWN])!r} is not at this machine",
        status=400,
        why="the request came from another local-ai, and such a request is sent to no third machine",
        fix="add that machine to [[peers]] where the request began",
        code="forwarded_already",
        param="model",
    )

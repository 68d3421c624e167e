"""Errors for requests that a peer does not answer, in words that name it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
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
_DIGITS = 6  # of the seconds in Retry-After
_FORBIDDEN = 403


def peer_away(peer: Peer) -> ApiError:
    """Say that a peer is away (503), refuses its key (502), or is this server itself (400)."""
    if peer.heard_own:
        return ApiError(
            f"the peer {peer.name} cannot answer",
            why=f"this is this server itself ({peer.settings.url})",
            fix=f"ask for the model without @{peer.name}, and take that table out of [[peers]]",
            code="peer_is_itself",
            param="model",
        )
    if peer.refusal_status is not None:
        return peer_refused_key(peer, peer.refusal_status)
    why = peer.why if peer.state is PeerState.AWAY else "it has not answered yet"
    return ApiError(
        f"the peer {peer.name} is away",
        status=503,
        why=f"{why} ({peer.settings.url})",
        fix="try again in a moment: it is looked for all the time; or ask for a model of another machine",
        code="peer_away",
        retry_after_s=_RETRY_S,
    )


def peer_lost(peer: Peer, when: str, *, why: str = "") -> ApiError:
    """Say that a peer ended while it had the request (503).

    Args:
        why: A clause; "": as the peer was last seen.
    """
    why = why or peer.why or "it closed the connection"
    return ApiError(
        f"the peer {peer.name} was lost {when}",
        status=503,
        why=f"{why} ({peer.settings.url})",
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


def peer_refused_key(peer: Peer, status: int) -> ApiError:
    """Say that a peer refuses this server, not the client (502); its words may repeat the key."""
    fix = "set api_key under [[peers]] in config.toml to a key that it takes"
    if status == _FORBIDDEN:
        fix += " (or, where it is another local-ai, add its name to server.allowed_hosts there)"
    return ApiError(
        f"the peer {peer.name} {'refuses its api_key' if peer.client.key else 'asks for a key'}",
        status=502,
        why=f"it answered with the status {status} ({peer.settings.url})",
        fix=f"{fix}, then run",
        command="local-ai config reload",
        code="peer_refused_key",
        may_retry=False,
    )


def key_words(status: int, *, has_key: bool) -> str:
    """Say why a peer refuses this server, after 401 or 403."""
    words = "it refuses its api_key" if has_key else "it asks for a key, and [[peers]] has none"
    return f"{words} (status {status})"


def peer_error(peer: Peer, status: int, said: str, headers: Mapping[str, str]) -> ApiError:
    """Tell a peer's error that is not in the dialect's shape, with the peer's status.

    Args:
        said: The peer's own words, ready to be shown; "" where it has none.
        headers: The peer's, of which those on trying again are kept.
    """
    after = headers.get("retry-after", "")
    return ApiError(
        f"the peer {peer.name} answered with an error",
        status=status,
        why=f"{said or f'it gave the status {status} without a reason'} ({peer.settings.url})",
        fix="see the log of that server" if status >= 500 else "send what that server takes",
        code="peer_error",
        retry_after_s=int(after) if after.isascii() and after.isdigit() and len(after) <= _DIGITS else None,
        may_retry=headers.get("x-should-retry") != "false",
    )


def peer_unusable(peer: Peer, why: str) -> ApiError:
    """Say that a peer's answer is none (502)."""
    return ApiError(
        f"the peer {peer.name} gave no answer that can be used",
        status=502,
        why=f"{why} ({peer.settings.url})",
        fix="see whether its url in [[peers]] is that of a server for language models",
        code="peer_answer_unusable",
    )


def peer_unfinished(peer: Peer) -> ApiError:
    """Say that a peer's stream ended too early (503)."""
    why = "its stream ended without the event that ends an answer"
    return peer_lost(peer, "before its answer was whole", why=why)


def loop_refused(name: str) -> ApiError:
    """Say that a request which a peer sent is not sent on (400)."""
    return ApiError(
        f"the model {printable(name[:_MOST_SHOWN])!r} is not on this machine",
        status=400,
        why="the request came from another local-ai, and such a request is sent to no third machine",
        fix="add that machine to [[peers]] where the request began",
        code="forwarded_already",
        param="model",
    )

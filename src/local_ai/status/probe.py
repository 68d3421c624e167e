"""Ask the programs themselves: liveness and readiness, each within a bounded time."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from local_ai.status.health import (
    EngineHealth,
    EngineState,
    MarkedModel,
    PeerHealth,
    PeerState,
    Queue,
    QueuedRequest,
    RequestState,
)
from local_ai.unix_http import Address, exchange

PATIENCE_S = 1.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def reachable_host(host: str) -> str:
    """Return an address a client on this machine can connect to, for one a server may bind."""
    return _WILDCARDS.get(host, host)


def address_for_others(host: str) -> str | None:
    """Return an address by which other machines reach a server that binds all of this one's; else None."""
    # Addresses for documentation: a UDP socket "connected" to one sends nothing, and tells our own address.
    # Source: RFC 5737 and RFC 3849.
    towards = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}.get(host)
    if towards is None:
        return None
    family, example = towards
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as unsent:
            unsent.connect((example, 9))
            return str(unsent.getsockname()[0])
    except OSError:
        return None


def probe_engine(socket_path: Path, *, patience_s: float = PATIENCE_S) -> EngineHealth | None:
    """Ask the engine how it is; None if it does not say in that time, in seconds (it may just be busy)."""
    return EngineHealth.from_json(_get_json(socket_path, "/health", patience_s))


def await_engine(socket_path: Path, state: EngineState, *, within_s: float) -> EngineHealth | None:
    """Ask the engine how it is once its state is another one, or that much time is up; None as above."""
    path = f"/health?unlike={state}&within_s={within_s:g}"
    return EngineHealth.from_json(_get_json(socket_path, path, within_s + PATIENCE_S))


def probe_gateway(host: str, port: int) -> Queue | None:
    """Ask our gateway what it has to do; None if it does not answer, or it is a stranger's server."""
    raw = _identity(host, port, "/queue.json")
    if raw is None:
        return None
    try:
        known = {name: raw[name] for name in Queue.__annotations__ if name in raw}  # an older one tells less
        requests = [{**one, "state": RequestState(one["state"])} for one in raw["requests"]]
        lists = {
            "requests": tuple(QueuedRequest(**one) for one in requests),
            "marked_models": tuple(MarkedModel(**one) for one in raw["marked_models"]),
            "peers": tuple(_peer(one) for one in raw.get("peers", ())),
        }
        return Queue(**known | lists)
    except (KeyError, TypeError, ValueError):
        return None


def probe_peers(host: str, port: int) -> list[dict[str, Any]]:
    """Ask our gateway for its peers with all their models; none where it does not answer.

    Returns:
        One object per peer: `{"name", "url", "state", "since", "why", "models": [str], "paths": [str]}`.
    """
    raw = _get_json((reachable_host(host), port), "/models.json", 2 * PATIENCE_S)
    peers = raw.get("peers", []) if isinstance(raw, dict) else []
    try:
        return [{"name": one["id"], **{name: one[name] for name in _OF_A_PEER}} for one in peers]
    except (KeyError, TypeError):
        return []


_OF_A_PEER = ("url", "state", "since", "why", "models", "paths")


def _peer(raw: dict[str, Any]) -> PeerHealth:
    lists = {name: tuple(raw[name]) for name in ("models", "paths")}
    return PeerHealth(**raw | lists | {"state": PeerState(raw["state"])})


def is_listening(host: str, port: int) -> bool:
    """Tell whether anything takes connections there, be it too busy to answer."""
    try:
        with socket.create_connection((reachable_host(host), port), timeout=PATIENCE_S):
            return True
    except OSError:
        return False


def find_instance(host: str, port: int) -> str | None:
    """Return the state directory of the local-ai that listens there, or None if none does."""
    identity = _identity(host, port)
    return str(identity["state_dir"]) if identity and "state_dir" in identity else None


def find_revision(host: str, port: int) -> int | None:
    """Return which settings our gateway has, by how often they were changed; None if it does not say."""
    identity = _identity(host, port)
    return identity.get("revision") if identity else None


def _identity(host: str, port: int, path: str = "/healthz") -> dict[str, Any] | None:
    raw = _get_json((reachable_host(host), port), path)
    return raw if isinstance(raw, dict) and raw.get("service") == "local-ai" else None


def _get_json(address: Address, path: str, timeout_s: float = PATIENCE_S) -> Any:
    try:
        answer = exchange(address, path, timeout_s=timeout_s, headers={"Accept": "application/json"})
        return json.loads(answer.body)
    except (OSError, http.client.HTTPException, ValueError):
        return None

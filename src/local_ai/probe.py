"""Ask the programs themselves: liveness and readiness, each within a bounded time."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from local_ai.program import EngineHealth, MarkedModel, Queue, QueuedRequest, RequestState
from local_ai.rpc import UnixConnection

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def reachable_host(host: str) -> str:
    """Return an address a client on this machine can connect to, for one a server may bind."""
    return _WILDCARDS.get(host, host)


def probe_engine(socket_path: Path, *, timeout_s: float = 1.0) -> EngineHealth | None:
    """Ask the engine how it is; None if it does not say within `timeout_s` (which may just mean busy)."""
    return EngineHealth.from_json(_get_json(UnixConnection(socket_path, timeout_s), "/health"))


def probe_gateway(host: str, port: int, *, timeout_s: float = 1.0) -> Queue | None:
    """Ask our gateway what it has to do; None if it does not answer, or it is a stranger's server."""
    raw = _get_json(http.client.HTTPConnection(reachable_host(host), port, timeout=timeout_s), "/queue.json")
    if raw is None or raw.get("service") != "local-ai":
        return None
    try:
        requests = [{**one, "state": RequestState(one["state"])} for one in raw["requests"]]
        return Queue(
            running=raw["running"],
            waiting=raw["waiting"],
            max_concurrency=raw["max_concurrency"],
            max_queue=raw["max_queue"],
            longest_wait_s=raw["longest_wait_s"],
            requests=tuple(QueuedRequest(**one) for one in requests),
            marked_models=tuple(MarkedModel(**one) for one in raw["marked_models"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def find_instance(host: str, port: int, *, timeout_s: float = 1.0) -> str | None:
    """Return the state directory of the local-ai that listens there, or None if none does."""
    raw = _get_json(http.client.HTTPConnection(reachable_host(host), port, timeout=timeout_s), "/healthz")
    return str(raw.get("state_dir")) if raw and raw.get("service") == "local-ai" else None


def _get_json(connection: http.client.HTTPConnection, path: str) -> dict[str, Any] | None:
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = json.loads(connection.getresponse().read(65536))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None

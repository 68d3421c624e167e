"""A request as it goes to the engine."""

from __future__ import annotations

from dataclasses import dataclass

from local_ai.gateway.routes import Route


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    route: Route
    method: str
    target: str  # path and query, as the client sent them
    headers: dict[str, str]
    body: bytes
    streams: bool = False  # the client asked for server-sent events
    model: str | None = None  # as the engine will know it

"""A request as it goes to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from local_ai.gateway.room import Booking
from local_ai.gateway.routes import Route


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    route: Route
    method: str
    target: str  # path and query, as the client sent them
    headers: Mapping[str, str]
    body: bytes
    streams: bool = False  # the client asked for server-sent events
    model: str | None = None  # as the engine will know it
    booking: Booking | None = None  # the room that its body takes, until it is answered

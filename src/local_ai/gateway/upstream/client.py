"""The engine as the gateway sees it: HTTP over its private unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_ai.gateway.upstream.connections import Connections
from local_ai.gateway.upstream.exchange import EngineAbsent, EngineGone, Exchange
from local_ai.status.health import EngineHealth

_PROBE_S = 1.0


@dataclass(frozen=True)
class Look:
    """One look at the engine: whether somebody listens, and what it says of itself if it says so."""

    listens: bool
    health: EngineHealth | None = None

    @property
    def can_answer(self) -> bool:
        """Whether it can take a request; one that listens but is silent is busy, not dead.

        One whose default model failed says so itself, best, and may well answer with another model.
        """
        return self.listens and (self.health is None or self.health.state in {"ready", "busy", "failed"})


class Upstream:
    """The way to the engine's socket."""

    def __init__(self, socket_path: Path) -> None:
        self._connections = Connections(socket_path)

    async def look(self) -> Look:
        """Ask the engine how it is, within a second."""
        try:
            body = await asyncio.wait_for(self._health(), _PROBE_S)
        except EngineAbsent:
            return Look(listens=False)
        except EngineGone:
            # Closed without a word: it is ending.
            return Look(listens=False)
        except TimeoutError:
            return Look(listens=True)
        return Look(listens=True, health=_health_in(body))

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        """Send a request and return once its answer has begun; raises as `Connections.send` does."""
        return await self._connections.send(method, target, headers, body)

    async def _health(self) -> bytes:
        exchange = await self.send("GET", "/health", {}, b"")
        try:
            return await exchange.read_all()
        finally:
            exchange.close()


def _health_in(body: bytes) -> EngineHealth | None:
    try:
        return EngineHealth.from_json(json.loads(body))
    except ValueError:
        return None

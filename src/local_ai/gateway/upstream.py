"""The engine as the gateway sees it: HTTP over its private unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.program import EngineHealth

if TYPE_CHECKING:
    import httpx

_PROBE_S = 1.0
_CONNECT_S = 5.0


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


class EngineGone(Exception):
    """The engine closed the connection before its answer was whole."""


class EngineAbsent(Exception):
    """Nobody listens on the engine's socket; nothing was sent."""


class Upstream:
    """Connections to the engine. Each request has its own: after a crash none can be a dead one."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._client: httpx.AsyncClient | None = None

    async def look(self) -> Look:
        """Ask the engine how it is, within a second."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket_path))
        except OSError:
            return Look(listens=False)
        try:
            # By hand: the first look comes before httpx is imported, which takes 0.2 s.
            writer.write(b"GET /health HTTP/1.0\r\nHost: engine\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), _PROBE_S)
        except (OSError, TimeoutError):
            return Look(listens=True)
        finally:
            writer.close()
        # Closed without a word: it is ending.
        return Look(listens=bool(answer), health=_health_in(answer))

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Send a request and return once its answer has begun; close the answer to cancel it.

        Raises:
            EngineAbsent: Nobody listens.
            EngineGone: The connection ended before the answer began.
        """
        import httpx

        client = self.load()
        request = client.build_request("POST", path, headers=dict(headers), content=body)
        try:
            return await client.send(request, stream=True)
        except httpx.ConnectError as exc:
            raise EngineAbsent from exc
        except httpx.HTTPError as exc:
            raise EngineGone from exc

    def load(self) -> httpx.AsyncClient:
        """Return the client, importing httpx (0.2 s) for the first."""
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url="http://engine",
                transport=httpx.AsyncHTTPTransport(
                    uds=str(self._socket_path),
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                ),
                # No limit on reading: a long prompt or a long answer is not a failure.
                timeout=httpx.Timeout(None, connect=_CONNECT_S),
            )
        return self._client

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()


def _health_in(answer: bytes) -> EngineHealth | None:
    _, _, body = answer.partition(b"\r\n\r\n")
    try:
        return EngineHealth.from_json(json.loads(body))
    except ValueError:
        return None

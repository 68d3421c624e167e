"""The engine as the gateway sees it: HTTP over its private unix socket, by httpx.

httpx keeps a connection for the next request once an answer is whole, and uses none that the engine closed.
It sends a request once. Closing an answer that is not whole closes its connection, which cancels the request.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from local_ai.serving.imports import import_async_parts
from local_ai.status.health import EngineHealth, EngineState

if TYPE_CHECKING:
    import httpx

_PROBE_S = 1.0
# Lengths and hop-by-hop headers are written by each server itself; the engine's others are passed on.
_NOT_PASSED_BACK = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class EngineGone(Exception):
    """The engine closed the connection before its answer was whole."""


_ANSWERING = {EngineState.READY, EngineState.BUSY, EngineState.FAILED}


class EngineAbsent(Exception):
    """Nothing listens on the engine's socket; nothing was sent."""


@dataclass(frozen=True)
class EngineProbe:
    """One probe of the engine: whether it listens, and its health if it gave one."""

    listens: bool
    health: EngineHealth | None = None

    @property
    def can_answer(self) -> bool:
        """True if the engine can take a request; one that listens but is silent is busy, not dead.

        An engine whose default model failed explains that itself, and may answer with another model.
        """
        return self.listens and (self.health is None or self.health.state in _ANSWERING)


class EngineAnswer:
    """An answer that has begun: status and headers are here, the body is still to be read."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.media_type = response.headers.get("content-type", "").partition(";")[0]
        self.headers = {
            name: value for name, value in response.headers.items() if name not in _NOT_PASSED_BACK
        }

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            EngineGone: The connection ended before the answer did.
        """
        import httpx

        assert isinstance(self._response.stream, httpx.AsyncByteStream)
        try:
            async for chunk in self._response.stream:
                yield chunk
        except httpx.TransportError as exc:
            raise EngineGone from exc

    async def read(self) -> bytes:
        """Return the whole body; raises like `chunks`."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def close(self) -> None:
        """Give the connection back; close it, and so cancel the request, where the answer is not whole."""
        await self._response.aclose()


class HttpClient(ABC):
    """HTTP to one server; httpx is imported (0.1 s) with the first request, or before it by `load`."""

    def __init__(self, origin: str) -> None:
        """Open nothing yet.

        Args:
            origin: Scheme, host and port.
        """
        self._origin = origin

    def load(self) -> None:
        """Import httpx and what its locks use, before the first request needs them."""
        _ = self._transport
        import_async_parts()

    async def close(self) -> None:
        """Close all connections."""
        if "_transport" in vars(self):
            await self._transport.aclose()

    async def respond(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, **extensions: Any
    ) -> httpx.Response:
        """Send a request; returns once its answer has begun.

        Args:
            target: The path as a client sent it, with its query; Latin-1.
            headers: Printable Latin-1.
            extensions: httpx's, such as `timeout`.

        Raises:
            EngineAbsent: No connection could be made; nothing was sent.
            EngineGone: The connection ended before the answer began.
        """
        import httpx

        request = httpx.Request(
            method,
            self._origin,
            headers=[(name.encode(), value.strip().encode("latin-1")) for name, value in headers.items()],
            content=body,
            extensions=extensions | {"target": quote(target.encode("latin-1"), safe=_PRINTABLE).encode()},
        )
        try:
            return await self._transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise EngineAbsent from exc
        except httpx.TransportError as exc:
            raise EngineGone from exc

    @abstractmethod
    def make_transport(self) -> httpx.AsyncHTTPTransport:
        """Return the way to the server."""

    @cached_property
    def _transport(self) -> httpx.AsyncHTTPTransport:
        return self.make_transport()


class Upstream(HttpClient):
    """HTTP client of one engine."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__("http://engine")
        self._socket_path = socket_path

    def make_transport(self) -> httpx.AsyncHTTPTransport:
        from local_ai.gateway.upstream.transport import UnixTransport

        return UnixTransport(self._socket_path)

    async def look(self) -> EngineProbe:
        """Ask the engine for its health; takes at most a second."""
        try:
            async with asyncio.timeout(_PROBE_S):
                _, body = await self.ask("GET", "/health")
        except (EngineAbsent, EngineGone):  # one that closes without an answer is ending
            return EngineProbe(listens=False)
        except TimeoutError:
            return EngineProbe(listens=True)
        return EngineProbe(listens=True, health=_health_in(body))

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        """Send a request with the client's headers that the engine may see; raises like `respond`."""
        return EngineAnswer(await self.respond(method, target, headers, body))

    async def recent(self) -> list[dict[str, Any]]:
        """Ask the engine for the figures of its last answers; none where it is silent for a second."""
        try:
            async with asyncio.timeout(_PROBE_S):
                _, body = await self.ask("GET", "/recent")
                figures: list[dict[str, Any]] = json.loads(body)
        except (EngineAbsent, EngineGone, TimeoutError, ValueError):
            return []
        return figures

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask a question of our own; returns status and body, raises like `send`."""
        answer = await self.send(method, path, {"content-type": "application/json"} if body else {}, body)
        try:
            return answer.status, await answer.read()
        finally:
            await answer.close()


def _health_in(body: bytes) -> EngineHealth | None:
    try:
        return EngineHealth.from_json(json.loads(body))
    except ValueError:
        return None

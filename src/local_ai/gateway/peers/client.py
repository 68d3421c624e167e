"""HTTP to one peer: its own key, its own host, no redirects followed, and no more read than is bounded."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

from local_ai.gateway.upstream.client import EngineAnswer, EngineGone, HttpClient
from local_ai.serving.request_id import REQUEST_ID

if TYPE_CHECKING:
    import httpx

    from local_ai.settings.schema import PeerSettings

# Marks what a gateway sends to a peer: such a request is never sent on, so that no loop can be.
FORWARDED = "x-local-ai-forwarded"
_CONNECT_S = 3.0
# Of a JSON answer, which is held until it is whole.
_MOST_WHOLE_BYTES = 64 * 1024 * 1024
# Of a peer's headers: the others may set cookies, or send a client with its key elsewhere.
_PASSED_BACK = {"content-type", "cache-control", "retry-after", "x-should-retry"}


class AnswerTooLong(EngineGone):
    """An answer, or an event of one, is longer than is held."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.most_bytes = most_bytes

    def __str__(self) -> str:
        return f"its answer is longer than {self.most_bytes // 1024**2} MB"


class PeerAnswer(EngineAnswer):
    """A peer's answer that has begun."""

    def __init__(self, response: httpx.Response, key: str | None) -> None:
        """Take a response.

        Args:
            key: The peer's; a header that repeats it is dropped.
        """
        super().__init__(response)
        self.media_type = self.media_type.strip().lower()
        self.is_encoded = self.headers.get("content-encoding", "identity") != "identity"
        self.headers = {
            name: value
            for name, value in self.headers.items()
            if name in _PASSED_BACK and (key is None or key not in value)
        }

    async def read(self, most_bytes: int = _MOST_WHOLE_BYTES) -> bytes:
        """Return the whole body.

        Raises:
            AnswerTooLong: The body is longer than that.
            EngineGone: The connection ended before the answer did.
        """
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > most_bytes:
                raise AnswerTooLong(most_bytes)
        return bytes(body)


class PeerClient(HttpClient):
    """HTTP client of one peer."""

    def __init__(self, settings: PeerSettings) -> None:
        super().__init__(settings.url)
        self.mark = secrets.token_hex(8)  # by which this server knows a request as its own
        self.key = settings.api_key.get_secret_value() if settings.api_key else None

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> PeerAnswer:
        """Send a request with those of the client's headers that the peer may see, never its key.

        Raises like `respond`.
        """
        sent = {**headers, FORWARDED: self.mark, **self._own_headers(target)}
        response = await self.respond(method, target, sent, body, timeout={"connect": _CONNECT_S})
        return PeerAnswer(response, self.key)

    async def ask(
        self, method: str, path: str, body: bytes = b"", *, most_bytes: int, within_s: float
    ) -> tuple[int, bytes]:
        """Ask a question of our own; returns status and body.

        Raises:
            EngineAbsent: No connection could be made.
            EngineGone: The connection ended before the answer did, or the answer is too long.
            TimeoutError: It was not whole in time.
        """
        async with asyncio.timeout(within_s):
            headers = {"content-type": "application/json"} if body else {}
            answer = await self.send(method, path, headers, body)
            try:
                return answer.status, await answer.read(most_bytes)
            finally:
                await answer.close()

    def make_transport(self) -> httpx.AsyncHTTPTransport:
        from local_ai.gateway.upstream.transport import TcpTransport

        return TcpTransport()

    def _own_headers(self, target: str) -> dict[str, str]:
        headers: dict[str, str] = {}
        if request_id := REQUEST_ID.get():
            headers["x-request-id"] = request_id
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
            if target.startswith("/v1/messages"):  # as Anthropic's own clients send it
                headers["x-api-key"] = self.key
        return headers


def reason_of(exc: BaseException) -> str:
    """Say in words why a connection failed, from what lies below httpx's exceptions."""
    causes = []
    at: BaseException | None = exc
    while at is not None:
        causes.append(at)
        at = at.__cause__ or at.__context__
    for cause in causes:
        if isinstance(cause, AnswerTooLong):
            return str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS there"
        if isinstance(cause, ConnectionRefusedError):
            return "it refuses the connection"
    for cause in causes:
        if isinstance(cause, TimeoutError):
            return "it does not answer"
        if isinstance(cause, OSError) and cause.strerror:
            return f"it cannot be reached: {cause.strerror[:1].lower()}{cause.strerror[1:]}"
    return "it closed the connection"

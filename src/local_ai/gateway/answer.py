"""The engine's answer, from the moment its first part is here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_ai.gateway.upstream import EngineGone

if TYPE_CHECKING:
    import httpx

# Sizes and hops are ours to say; the rest of the engine's headers are the client's.
_NOT_PASSED_BACK = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True)
class Answer:
    """An answer that has begun."""

    response: httpx.Response
    first: bytes  # all of it where it is JSON
    rest: AsyncIterator[bytes]

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are passed back to the client."""
        return {k: v for k, v in self.response.headers.items() if k not in _NOT_PASSED_BACK}

    @property
    def is_json(self) -> bool:
        return _media_type(self.response) == "application/json"

    @property
    def is_events(self) -> bool:
        return _media_type(self.response) == "text/event-stream"

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield all of it, as it comes.

        Raises:
            EngineGone: It was lost before its end.
        """
        yield self.first
        async for chunk in self.rest:
            yield chunk

    async def close(self) -> None:
        """Close its connection, which cancels what has not come yet."""
        await self.response.aclose()


async def begin(response: httpx.Response) -> Answer:
    """Wait for an answer's first part; the whole where it is JSON, so that none is ever given by half.

    Raises:
        EngineGone: It was lost before that.
    """
    rest = _chunks(response)
    try:
        if _media_type(response) == "application/json":
            return Answer(response, b"".join([chunk async for chunk in rest]), rest)
        return Answer(response, await anext(rest, b""), rest)
    except BaseException:
        await response.aclose()
        raise


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    import httpx

    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx.HTTPError as exc:
        raise EngineGone from exc


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0]

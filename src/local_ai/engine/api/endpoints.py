"""The parts that all dialects' endpoints share: failures in their dialect, answers that open late."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from local_ai.engine.api.requests import (
    ClientGoneError,
    json_response,
    note_refusal,
    unless_gone,
)
from local_ai.engine.errors import unexpected
from local_ai.serving.dialects import Dialect, error_response
from local_ai.serving.errors import ApiError
from local_ai.serving.framing import EVENTS, Framing

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

_CLIENT_CLOSED_REQUEST = 499  # nginx's number for it; no client reads the answer
QUIET_S = 3.0  # a stream that has nothing to say says so this often


def in_dialect(dialect: Dialect) -> Callable[[Endpoint], Endpoint]:
    """Make a guard that answers every failure of an endpoint in a dialect's shape."""

    def guard(endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ApiError as exc:
                note_refusal(request, exc)
                return error_response(dialect, exc, source="engine")
            except ClientGoneError:
                return Response(status_code=_CLIENT_CLOSED_REQUEST)
            except Exception as exc:
                log.exception("a request failed")
                return error_response(dialect, unexpected("the request failed", exc), source="engine")

        return guarded

    return guard


def stream_failure(exc: Exception) -> ApiError:
    """Return how the end of a stream that failed is told; a failure that was not expected is logged."""
    if isinstance(exc, ApiError):
        return exc
    log.error("a stream failed", exc_info=exc)
    return unexpected("the answer was cut off", exc)


async def answer(
    request: Request,
    opening: asyncio.Future[Any],
    *,
    whole: Callable[[], Awaitable[Any]] | None,
    events: Callable[[], AsyncIterator[bytes]],
    grace_s: float,
    framing: Framing = EVENTS,
) -> Response:
    """Answer whole, or as a stream once it is known that the request is good or that this takes long.

    Args:
        opening: Prepares the answer; ends early where the request is bad.
        whole: Makes the whole answer; None for a stream.
        grace_s: A stream whose opening takes longer begins all the same, and tells a failure as an event.
        framing: How the stream is written.
    """
    if whole is not None:
        return json_response(await unless_gone(request, whole()))
    try:
        await unless_gone(request, asyncio.wait({opening}, timeout=grace_s))
    except ClientGoneError:
        opening.cancel()
        raise
    if opening.done():
        opening.result()
    return framing.response(events())

"""The parts that all dialects' endpoints share: failures in their dialect, answers that open late."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from local_ai.engine.api.requests import ClientGoneError, json_response, note_refusal, unless_gone
from local_ai.engine.errors import unexpected
from local_ai.serving.dialects import Dialect, dialect_of, error_event, error_response
from local_ai.serving.errors import ApiError
from local_ai.serving.framing import EVENTS
from local_ai.serving.sse import batches, close

log = logging.getLogger(__name__)

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]

_CLIENT_CLOSED_REQUEST = 499  # nginx's number for it; no client reads the answer
_GRACE_S = 2.0  # an error known by then has its own HTTP status; later ones end the stream
_QUIET_S = 3.0  # a stream of events that has nothing to say says so this often


async def _answer_refusal(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ApiError)
    note_refusal(request, exc)
    return error_response(_dialect(request), exc, source="engine")


async def _answer_nobody(_request: Request, _exc: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


async def _answer_unexpected(request: Request, exc: Exception) -> Response:
    # The traceback is in the log: uvicorn writes it.
    return error_response(_dialect(request), unexpected("the request failed", exc), source="engine")


def _dialect(request: Request) -> Dialect:
    return dialect_of(request.url.path) or Dialect.OPENAI


# Answer every failure of an endpoint in its dialect; for Starlette.
FAILURES: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    ApiError: _answer_refusal,
    ClientGoneError: _answer_nobody,
    Exception: _answer_unexpected,
}


async def answer(
    request: Request,
    dialect: Dialect,
    opening: asyncio.Future[Any],
    items: AsyncIterator[T],
    *,
    whole: Callable[[], Any] | None,
    write: Callable[[list[T]], bytes],
    failed: Callable[[ApiError], bytes] | None = None,
    last: bytes = b"",
) -> Response:
    """Answer whole, or as a stream once it is known that the request is good or that this takes long.

    Args:
        opening: Prepares the answer; ends early where the request is bad.
        items: The answer's parts as they come, once it is open.
        whole: Makes the whole answer once all parts have come; None for a stream.
        write: Writes parts that came together; those of none are a sign of life.
        failed: Writes the end of a stream that failed; None: an error as the dialect has it.
        last: What ends every stream.
    """
    if whole is not None:
        return json_response(await unless_gone(request, _complete(opening, items, whole)))
    try:
        await unless_gone(request, asyncio.wait({opening}, timeout=_GRACE_S))
    except ClientGoneError:
        opening.cancel()
        raise
    if opening.done():
        opening.result()

    async def stream() -> AsyncIterator[bytes]:
        together = batches(items, every_s=_QUIET_S if dialect.framing is EVENTS else None)
        try:
            async for each in together:
                yield write(each)
        except Exception as exc:
            error = _stream_failure(exc)
            yield failed(error) if failed else error_event(dialect, error, source="engine")
        finally:
            opening.cancel()
            await close(together)
        if last:
            yield last

    return dialect.framing.response(stream())


async def _complete(opening: asyncio.Future[Any], items: AsyncIterator[T], whole: Callable[[], Any]) -> Any:
    try:
        async for _ in items:
            pass
    finally:
        opening.cancel()
        await close(items)
    return whole()


def _stream_failure(exc: Exception) -> ApiError:
    """Return how the end of a stream that failed is told; a failure that was not expected is logged."""
    if isinstance(exc, ApiError):
        return exc
    log.error("a stream failed", exc_info=exc)
    return unexpected("the answer was cut off", exc)

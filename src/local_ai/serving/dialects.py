"""The API dialects, and how each writes an error: as an answer, and inside a stream. Pure.

Both programs write their errors here, so that a client sees the same one whichever speaks; `source` says
which it was.
"""

import json
from enum import Enum
from http import HTTPStatus
from typing import Any, Literal

from starlette.responses import PlainTextResponse, Response

from local_ai.serving.errors import ApiError, ContextLengthError
from local_ai.serving.framing import EVENTS, LINES, Framing, line
from local_ai.serving.request_id import REQUEST_ID, id_headers
from local_ai.serving.sse import event, to_json

Json = dict[str, Any]
Source = Literal["gateway", "engine"]

# By status; other client errors are "invalid_request_error". OpenAI's own 404s are such: a model that does
# not exist has code "model_not_found". Its SDKs tell errors apart by the status.
# Source: https://platform.openai.com/docs/guides/error-codes and openai-python's _exceptions.py.
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# Source: https://docs.anthropic.com/en/api/errors and anthropic-python's types/shared/error_type.py. The
# latter does not have "request_too_large", which the page names for 413.
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class Dialect(Enum):
    """The dialect of a part of an API, by the start of its paths; the longer start comes first."""

    RESPONSES = "/v1/responses"
    OPENAI = "/v1"
    ANTHROPIC = "/anthropic"
    OLLAMA = "/api"

    @property
    def family(self) -> str:
        """Return whose API it belongs to: openai, anthropic or ollama."""
        return "openai" if self is Dialect.RESPONSES else self.name.lower()

    @property
    def framing(self) -> Framing:
        """Return how its streams are cut into pieces."""
        return LINES if self is Dialect.OLLAMA else EVENTS


def dialect_of(path: str) -> Dialect | None:
    """Return the dialect a path is answered in, or None for the page and its data."""
    if path.startswith("/v1/messages"):  # Anthropic's, at the root too
        return Dialect.ANTHROPIC
    return next((d for d in Dialect if path == d.value or path.startswith(f"{d.value}/")), None)


def error_body(dialect: Dialect, error: ApiError, *, source: Source = "gateway") -> Json:
    """Return the error as the dialect's SDKs expect it."""
    if dialect is Dialect.OLLAMA:
        # Source: https://docs.ollama.com/api/errors; an error within a stream is the same, as a line.
        return {"error": f"{_known_words(dialect, error)}{error.sentence}", "source": source}
    if dialect is Dialect.ANTHROPIC:
        kind = _type_of(error, _ANTHROPIC_TYPES, "api_error")
        body: Json = {"type": kind, "message": f"{_known_words(dialect, error)}{error.sentence}"}
        if error.details is not None:
            body["details"] = dict(error.details)
        return {"type": "error", "error": body, "request_id": REQUEST_ID.get() or None, "source": source}
    kind = _type_of(error, _OPENAI_TYPES, "server_error")
    body = {"message": error.sentence, "type": kind, "param": error.param, "code": error.code}
    return {"error": body, "source": source}


def error_event(
    dialect: Dialect, error: ApiError, *, source: Source = "gateway", sequence_number: int = 0
) -> bytes:
    """Return the error as the last event of a stream that has begun.

    Args:
        sequence_number: Of the event, which the Responses API counts from 0.
    """
    return _event(dialect, error_body(dialect, error, source=source), sequence_number)


def stream_event(dialect: Dialect, error_json: str, *, sequence_number: int = 0) -> bytes:
    """Return an error body that the engine wrote as an event of the dialect's streams."""
    return _event(dialect, json.loads(error_json), sequence_number)


def error_response(dialect: Dialect | None, error: ApiError, *, source: Source = "gateway") -> Response:
    """Return the error as an answer; as plain text where there is no dialect."""
    if dialect is None:
        return PlainTextResponse(f"{error}\n", error.status, error.headers)
    body = to_json(error_body(dialect, error, source=source))
    return Response(body, error.status, error.headers, media_type="application/json")


# What these refuse was not read to its end, so the connection cannot carry another request.
_ENDS_CONNECTION = {408, 414, 431}


def refused_response(path: str, error: ApiError, *, source: Source = "gateway") -> Response:
    """Return the answer at a path, which is also an application that gives it."""
    response = error_response(dialect_of(path), error, source=source)
    if error.status in _ENDS_CONNECTION:
        response.headers["Connection"] = "close"
    return response


def refused_bytes(path: str, error: ApiError, *, request_id: str) -> bytes:
    """Return the answer as it goes over the wire where there is no request to answer; the last on its way."""
    before = REQUEST_ID.set(request_id)
    response = refused_response(path, error)
    REQUEST_ID.reset(before)  # what follows on this thread belongs to another request
    response.headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    headers = [*response.raw_headers, *id_headers(path, request_id)]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


def _event(dialect: Dialect, body: Json, sequence_number: int) -> bytes:
    match dialect:
        case Dialect.OPENAI:
            return event(body)
        case Dialect.ANTHROPIC:
            return event(body, name="error")
        case Dialect.OLLAMA:
            return line(body)
        case Dialect.RESPONSES:
            # Source: https://platform.openai.com/docs/api-reference/responses-streaming/error
            error = {key: body["error"].get(key) for key in ("code", "message", "param")}
            numbered = {"type": "error", "sequence_number": sequence_number}
            return event(numbered | error | {"source": body.get("source")}, name="error")


def _type_of(error: ApiError, types: dict[int, str], otherwise: str) -> str:
    return types.get(error.status, "invalid_request_error" if error.status < 500 else otherwise)


def _known_words(dialect: Dialect, error: ApiError) -> str:
    """Begin with the API's own words where clients look for them.

    Claude Code shortens its conversation when it finds these numbers so; clients of Ollama offer a pull.
    """
    if dialect is Dialect.OLLAMA:
        return "model not found: " if error.code == "model_not_found" else ""
    if not isinstance(error, ContextLengthError):
        return ""
    return f"prompt is too long: {error.prompt} tokens > {error.context} maximum. "

"""The two API families, and how each writes an error: as an answer, and inside a stream. Pure.

Source: https://platform.openai.com/docs/guides/error-codes (types by status) and
https://docs.anthropic.com/en/api/errors (HTTP errors, error shapes, error event types).
"""

from __future__ import annotations

import json
from enum import Enum
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from local_ai.serving.refusal import Refusal

_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class Dialect(Enum):
    """An API family, by the start of its paths."""

    OPENAI = "/v1"
    ANTHROPIC = "/anthropic"


def dialect_of(path: str) -> Dialect | None:
    """Return the family a path belongs to, or None for the page and its data."""
    return next((d for d in Dialect if path == d.value or path.startswith(f"{d.value}/")), None)


def error_body(dialect: Dialect, refusal: Refusal) -> dict[str, Any]:
    """Return the error as the family's SDKs expect it, marked as ours."""
    if dialect is Dialect.ANTHROPIC:
        error = {"type": _error_type(_ANTHROPIC_TYPES, refusal.status), "message": refusal.sentence}
        return {"type": "error", "error": error, "source": "gateway"}
    return {
        "error": {
            "message": refusal.sentence,
            "type": _error_type(_OPENAI_TYPES, refusal.status),
            "param": refusal.param,
            "code": refusal.code,
        },
        "source": "gateway",
    }


def error_event(dialect: Dialect, refusal: Refusal) -> bytes:
    """Return the error as the last event of a stream that has begun."""
    return stream_event(dialect, json.dumps(error_body(dialect, refusal)))


def stream_event(dialect: Dialect, error_json: str) -> bytes:
    """Return an error body, ours or the engine's, as an event of the family's streams."""
    name = "event: error\n" if dialect is Dialect.ANTHROPIC else ""
    data = "".join(f"data: {line}\n" for line in error_json.splitlines())
    return f"{name}{data}\n".encode()


def _error_type(types: dict[int, str], status: int) -> str:
    return types.get(status, "invalid_request_error" if status < 500 else "api_error")


# What these refuse was not read to its end, so the connection cannot carry another request.
_ENDS_CONNECTION = {408, 414, 431}


def refused_response(path: str, refusal: Refusal) -> Response:
    """Return the answer, which is also an application that gives it."""
    headers = dict(refusal.headers)
    if refusal.status in _ENDS_CONNECTION:
        headers["Connection"] = "close"
    if dialect := dialect_of(path):
        return JSONResponse(error_body(dialect, refusal), refusal.status, headers)
    return PlainTextResponse(f"{refusal}\n", refusal.status, headers)


def refused_bytes(path: str, refusal: Refusal) -> bytes:
    """Return the answer as it goes over the wire where there is no request to answer; the last on its way."""
    response = refused_response(path, refusal)
    response.headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])

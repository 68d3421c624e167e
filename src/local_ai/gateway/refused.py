"""A refusal as an answer: in the dialect of the path it is for, in plain words elsewhere."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse, PlainTextResponse, Response

from local_ai.gateway.dialect import dialect_of, error_body
from local_ai.gateway.refusal import Refusal

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

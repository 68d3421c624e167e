"""Take in a request's body: its media type, its size, its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from local_ai.gateway.refusal import Refusal
from local_ai.gateway.routes import Route

if TYPE_CHECKING:
    from starlette.requests import Request


def check_media_type(content_type: str, route: Route) -> None:
    """Accept only the route's own media type.

    Pages of other sites can send forms and plain text without asking; JSON they cannot.

    Raises:
        Refusal: 415, naming what was sent and what is taken.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != route.takes:
        raise Refusal(
            "the request's body was not read",
            status=415,
            why=f"its Content-Type is {media_type or 'missing'}, but {route.path} takes {route.takes}",
            fix=f"send the header Content-Type: {route.takes}",
            code="unsupported_media_type",
        )


async def read_body(request: Request, *, most_bytes: int) -> bytes:
    """Read the whole body.

    Raises:
        Refusal: 413, as soon as it is known to be longer than `most_bytes`.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        Refusal: 400, with the place where it stops being one.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except json.JSONDecodeError as exc:
        raise _not_json(f"{exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
    except UnicodeDecodeError as exc:
        raise _not_json(f"it is not UTF-8 (byte {exc.start})") from exc
    except RecursionError as exc:
        raise _not_json("it is nested too deeply") from exc
    except ValueError as exc:
        raise _not_json(str(exc)) from exc
    if not isinstance(value, dict):
        raise _not_json(f"it is {_KINDS[type(value)]}, not an object")
    return value


_KINDS = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _not_json(why: str) -> Refusal:
    return Refusal(
        "the request's body is not a JSON object",
        status=400,
        why=why,
        fix='send an object, such as {"messages": [{"role": "user", "content": "Hello"}]}',
        code="invalid_json",
    )


def _too_large(most_bytes: int) -> Refusal:
    return Refusal(
        "the request is too large",
        status=413,
        why=f"its body has more than {most_bytes // 1024 // 1024} MB (gateway.max_body_mb)",
        fix="send less, or raise gateway.max_body_mb in config.toml",
        code="request_too_large",
    )

"""A request's query: read, and described."""

from typing import Any

from starlette.requests import Request

from local_ai.serving.errors import ApiError


def whole_number(request: Request, name: str, *, default: int, most: int) -> int:
    """Return a number of the query, from 1 on, or the default where it says none.

    Raises:
        ApiError: 400, naming the bounds.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    # isdecimal also takes other scripts' digits, as int does.
    if text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most:
        return int(text)
    raise ApiError(
        f"{name} is not valid",
        status=400,
        why=f"it must be a whole number from 1 to {most}, got {text[:40]!r}",
        fix=f"send another value for {name}, or none for {default}",
        code="invalid_parameter",
        param=name,
    )


def number_parameter(name: str, *, most: int) -> dict[str, Any]:
    """Describe a number of the query, from 1 on, as OpenAPI does."""
    schema = {"type": "integer", "minimum": 1, "maximum": most}
    return {"name": name, "in": "query", "required": False, "schema": schema}


_WHEN = {
    303: "Of a form: back to the page.",
    400: "The query, or the body, is not valid.",
    401: "The key is missing or wrong.",
    403: "A page of another site sent it, or the Host is not a name of this server.",
    404: "There is none of that name.",
    409: "It cannot be done now; the error says why.",
    413: "The body is too large.",
    415: "The body is neither JSON nor a form.",
    422: "A value is not valid.",
    429: "As many as may run at once do.",
    502: "The hub, the way to it or the disk does not allow it; the error says why.",
    503: "The server is stopping, or the engine cannot answer.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of an endpoint, and where a form leads, for FastAPI."""
    return {status: {"description": _WHEN[status]} for status in statuses}

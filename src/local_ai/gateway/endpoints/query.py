"""Read a request's query."""

from __future__ import annotations

from starlette.requests import Request

from local_ai.serving.refusal import Refusal


def whole_number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    """Return a number of the query, or the default where it says none.

    Raises:
        Refusal: 400, naming the bounds.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    # isdecimal also takes other scripts' digits, as int does.
    if text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return int(text)
    raise Refusal(
        f"{name} is not valid",
        status=400,
        why=f"it must be a whole number from {least} to {most}, got {text[:40]!r}",
        fix=f"send another value for {name}, or none for {default}",
        code="invalid_parameter",
        param=name,
    )

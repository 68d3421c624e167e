"""Actions by POST: from a program as JSON, from the page without JavaScript as a form.

A form is answered by a redirect back to the page, or by a page that says what went wrong. That it comes from
our own page, and with a key where there are keys, is checked before (see access).
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from local_ai.entry import as_called
from local_ai.errors import LocalAIError
from local_ai.gateway.forwarding.request_body import read_body
from local_ai.gateway.web.page import render_document
from local_ai.serving.dialects import Dialect, error_response
from local_ai.serving.errors import ApiError

_FORM = "application/x-www-form-urlencoded"
_MOST_BYTES = 64 * 1024
_BACK = "/#models"


class Body(BaseModel):
    """The fields of an action."""

    model_config = ConfigDict(extra="forbid", frozen=True)


B = TypeVar("B", bound=Body)


async def act(
    request: Request, kind: type[B], action: Callable[[B], Awaitable[Any]], *, status: int = 200
) -> Response:
    """Read the body, do the action, and answer with what it returns.

    Args:
        action: Returns a JSON object.
        status: Of the answer in JSON.

    Returns:
        The result; or, where the body is not valid or the action is refused, the error in OpenAI's shape, and
        for a form a page that says it.
    """
    is_form = _media_type(request) == _FORM
    try:
        result = await action(await read_fields(request, kind))
    except LocalAIError as exc:
        error = as_api_error(exc)
        if not is_form:
            return error_response(Dialect.OPENAI, error, source="gateway")
        return error_page(request, error)
    if is_form:
        return RedirectResponse(_BACK, status_code=303)
    return JSONResponse(result, status_code=status)


def body_of(kind: type[Body]) -> dict[str, Any]:
    """Describe an action's body as OpenAPI does."""
    schema = kind.model_json_schema()
    content = {media_type: {"schema": schema} for media_type in ("application/json", _FORM)}
    return {"requestBody": {"required": True, "content": content}}


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_fields(request: Request, kind: type[B], *, is_json: bool = False) -> B:
    """Read the body, JSON or a form.

    Args:
        is_json: Whatever its media type says.

    Raises:
        ApiError: 400 or 415: it is not valid, or neither.
    """
    media_type = "application/json" if is_json else _media_type(request)
    if media_type not in {"application/json", _FORM}:
        raise ApiError(
            "the request was refused",
            status=415,
            why=f"its Content-Type is {media_type[:100] or 'missing'}",
            fix="send JSON, with Content-Type: application/json",
            code="unsupported_media_type",
        )
    body = await read_body(request, most_bytes=_MOST_BYTES, hold=lambda _bytes: None)
    try:
        if media_type == _FORM:
            fields = parse_qsl(body.decode(errors="replace"), max_num_fields=20)
            return kind.model_validate({name: value for name, value in fields if value})
        return kind.model_validate_json(body, strict=True)
    except ValidationError as exc:
        raise _not_valid(exc) from exc
    except ValueError as exc:
        raise _invalid("the body", str(exc), None) from exc


# Of pydantic's findings, as the engine's endpoints say them.
_WORDS = {"extra_forbidden": "there is no such field here", "missing": "it is required and missing"}


def _not_valid(exc: ValidationError) -> ApiError:
    first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])[:100]
    return _invalid(
        field or "the body",
        _WORDS.get(first["type"], first["msg"].removeprefix("Value error, ")),
        field or None,
    )


def _invalid(what: str, why: str, param: str | None) -> ApiError:
    return ApiError(
        f"{what} is not valid",
        status=400,
        why=why[:1].lower() + why[1:],
        fix="/docs lists the fields of each address",
        code="invalid_parameter",
        param=param,
    )


def as_api_error(exc: LocalAIError, *, code: str = "refused") -> ApiError:
    """Return what a command would say as the error of a request."""
    if isinstance(exc, ApiError):
        return exc
    return ApiError(
        exc.what, status=409, why=exc.why.splitlines(), fix=exc.fix, command=exc.command, code=code
    )


def error_page(request: Request, error: ApiError) -> Response:
    """Say on a page what was refused, for a browser without JavaScript."""
    fix = as_called(error.whole_fix)
    page = render_document(request, "refused.html", error=error, fix=fix, back=_BACK)
    return HTMLResponse(page, status_code=error.status, headers={"Cache-Control": "no-store"} | error.headers)

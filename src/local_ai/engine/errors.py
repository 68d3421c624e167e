"""The failures of a request that the engine knows, with the HTTP status each is answered with."""

from collections.abc import Mapping
from typing import Any

from local_ai.serving.errors import ApiError


def bad_field(
    param: str, why: str, fix: str, *, code: str | None = None, details: Mapping[str, Any] | None = None
) -> ApiError:
    """Refuse one field of the body, by name (400)."""
    return ApiError(f"{param} cannot be used", why=why, fix=fix, param=param, code=code, details=details)


def model_not_loadable(model: str, why: str, fix: str, *, command: str = "") -> ApiError:
    """Say why a model that is there cannot be loaded (422)."""
    return ApiError(
        f"the model {model!r} cannot be loaded",
        why=why,
        fix=fix,
        command=command,
        status=422,
        code="model_not_loadable",
        param="model",
    )


def unavailable(what: str, why: str, fix: str, *, command: str = "") -> ApiError:
    """Say what cannot be done on this machine until a person has done something (503)."""
    return ApiError(what, why=why, fix=fix, command=command, status=503, code="unavailable", may_retry=False)


def first_line(exc: BaseException) -> str:
    """Return the first line of what an exception says, cut where it is long; its type where there is none."""
    return next(iter(str(exc).strip().splitlines()), "")[:300] or type(exc).__name__


def unexpected(what: str, exc: BaseException) -> ApiError:
    """Word an unexpected failure; the log has its traceback (500)."""
    return ApiError(
        what,
        why=f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__,
        fix="see the engine's log (local-ai server logs) and please report it",
        status=500,
        code="internal_error",
    )

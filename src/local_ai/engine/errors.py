"""The failures of a request that the engine knows, with the HTTP status each is answered with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from local_ai.serving.errors import ApiError


def bad_field(
    param: str, why: str, fix: str, *, code: str | None = None, details: Mapping[str, Any] | None = None
) -> ApiError:
    """Refuse one field of the body, by name (400)."""
    return ApiError(f"{param} cannot be used", why=why, fix=fix, param=param, code=code, details=details)


def model_not_found(
    name: str, nearest: Iterable[str], *, any_models: bool, target: str | None = None
) -> ApiError:
    """Say that no model goes by that name, and which come near (404).

    Args:
        target: What the name is an alias of.
    """
    near = list(nearest)
    if near:
        fix = f"did you mean {' or '.join(near)}?"
    elif any_models:
        fix = "take a name that /v1/models lists" + ("" if name else ", or set model.path in config.toml")
    else:
        fix = "put a model folder where local-ai looks for them (local-ai config show), or download one with "
        fix += "local-ai models pull"
    return ApiError(
        f"the model {_shorten(name)!r} is not there" if name else "no model can answer",
        why=_why_not_found(name, target, any_models=any_models),
        fix=fix,
        status=404,
        code="model_not_found",
        param="model",
    )


def _why_not_found(name: str, target: str | None, *, any_models: bool) -> str:
    if target is not None:
        return f"the settings make it an alias of {_shorten(target)!r}, which is no model on this machine"
    if name:
        return "no model on this machine goes by that name"
    if any_models:
        return "the request names none, and none of this machine's is fit to be the default one"
    return "this machine has no model"


def model_not_loadable(model: str, why: str, fix: str) -> ApiError:
    """Say why a model that is there cannot be loaded (422)."""
    return ApiError(
        f"the model {model!r} cannot be loaded",
        why=why,
        fix=fix,
        status=422,
        code="model_not_loadable",
        param="model",
    )


def unavailable(what: str, why: str, fix: str) -> ApiError:
    """Say what cannot be done now or on this machine (503)."""
    return ApiError(what, why=why, fix=fix, status=503, code="unavailable")


def unexpected(what: str, exc: BaseException) -> ApiError:
    """Word a failure nobody foresaw; the log has its traceback (500)."""
    return ApiError(
        what,
        why=f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__,
        fix="see the engine's log (local-ai server logs) and please report it",
        status=500,
        code="internal_error",
    )


def _shorten(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

"""Refusals of requests that are malformed, too large or too slow, in head or body. Pure."""

from __future__ import annotations

from local_ai.serving.errors import ApiError

TOO_SLOW = 408
_BUSY_RETRY_S = 2


def not_understood(why: str, fix: str, *, code: str) -> ApiError:
    """Refuse what is no HTTP, or means two things."""
    return ApiError("the request was not understood", status=400, why=why, fix=fix, code=code)


def body_not_read(why: str, fix: str, *, code: str) -> ApiError:
    """Refuse a body of another kind."""
    return ApiError("the request's body was not read", status=415, why=why, fix=fix, code=code)


def too_slow(why: str) -> ApiError:
    """Refuse a request of which too little comes."""
    fix = "send the request again, in one piece"
    return ApiError("the request came too slowly", status=TOO_SLOW, why=why, fix=fix, code="request_timeout")


def headers_too_large(what: str, why: str, fix: str) -> ApiError:
    """Refuse headers beyond the bounds."""
    return ApiError(what, status=431, why=why, fix=fix, code="headers_too_large")


def not_taken(what: str, why: str, fix: str, *, code: str) -> ApiError:
    """Refuse one request more than there may be at a time."""
    return ApiError(what, status=503, why=why, fix=fix, code=code, retry_after_s=_BUSY_RETRY_S)

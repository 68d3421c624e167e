"""Refusals of requests that are malformed, too large or too slow, in head or body. Pure."""

from local_ai.serving.errors import ApiError

TOO_SLOW = 408
_NOT_UNDERSTOOD = "the request was not understood"
_BUSY_RETRY_S = 2


def not_http() -> ApiError:
    """Refuse what is no HTTP."""
    why = "it is not valid HTTP/1.1 (RFC 9112)"
    fix = "send plain HTTP (not HTTPS, not HTTP/2) with well-formed headers"
    return ApiError(_NOT_UNDERSTOOD, status=400, why=why, fix=fix, code="invalid_http")


def header_twice(name: str) -> ApiError:
    """Refuse what means two things."""
    why, fix = f"it has more than one {name} header", "send that header once"
    return ApiError(_NOT_UNDERSTOOD, status=400, why=why, fix=fix, code="duplicate_header")


def url_too_long(most_bytes: int) -> ApiError:
    """Refuse an address beyond the bound."""
    return ApiError(
        "the request's address is too long",
        status=414,
        why=f"it has more than {most_bytes // 1024} KB",
        fix="send long values in the body",
        code="uri_too_long",
    )


def head_too_long(most_bytes: int) -> ApiError:
    """Refuse headers that are too large together."""
    return _headers_too_large(
        "the request's headers are too large",
        f"together they have more than {most_bytes // 1024} KB",
        "send smaller headers; for a browser, clear the cookies of this address",
    )


def too_many_headers(count: int, most: int) -> ApiError:
    """Refuse more headers than are taken."""
    why = f"it has {count}, and at most {most} are taken"
    return _headers_too_large("the request has too many headers", why, "send fewer headers")


def trailers_too_long(most_bytes: int) -> ApiError:
    """Refuse what follows a body without end."""
    why = f"what follows its body has more than {most_bytes // 1024} KB"
    fix = "send no trailers: they are not used"
    return _headers_too_large("the request's trailers are too large", why, fix)


def body_not_read(why: str, fix: str, *, code: str) -> ApiError:
    """Refuse a body of another kind."""
    return ApiError("the request's body was not read", status=415, why=why, fix=fix, code=code)


def encoded(encoding: str) -> ApiError:
    """Refuse a body that is compressed."""
    return body_not_read(
        f'it is encoded ("{encoding}"), and encoded bodies are not accepted',
        "send the body without compression, and without the header Content-Encoding",
        code="unsupported_encoding",
    )


def too_slow(why: str) -> ApiError:
    """Refuse a request of which too little comes."""
    fix = "send the request again, in one piece"
    return ApiError("the request came too slowly", status=TOO_SLOW, why=why, fix=fix, code="request_timeout")


def too_many_connections(count: int) -> ApiError:
    """Refuse a connection where all others are at work."""
    return ApiError(
        "the gateway cannot take another connection",
        status=503,
        why=f"all its {count} connections are busy with a request",
        fix="try again in a moment, or use fewer connections",
        code="too_many_connections",
        retry_after_s=_BUSY_RETRY_S,
    )


def _headers_too_large(what: str, why: str, fix: str) -> ApiError:
    return ApiError(what, status=431, why=why, fix=fix, code="headers_too_large")

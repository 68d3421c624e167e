"""Access: the Host, Origin and key checks, and the headers every answer carries.

A page of another site that resolves its own name to 127.0.0.1 (DNS rebinding, CVE-2024-28224) arrives with
that name as Host; a form it posts across arrives with its Origin. Both are refused here.
"""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local_ai.gateway.access.api_keys import check_key
from local_ai.serving.dialects import refused_response
from local_ai.serving.errors import ApiError

_POLICY = (
    "default-src 'self'; style-src 'self' {style}; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
_EVERY_ANSWER = (
    (b"cross-origin-resource-policy", b"same-origin"),
    # Under "no-referrer" browsers send our own page's forms with "Origin: null".
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


def check_host(host: str, *, bound: str, allowed: Sequence[str]) -> None:
    """Accept loopback names, the bound address and the configured names; any port.

    Args:
        host: The request's Host header.
        bound: `server.host`. One that stands for every address lets in any address, but no name.
        allowed: `server.allowed_hosts`.

    Raises:
        ApiError: 403 for any other, an empty one included.
    """
    name = _host_name(host)
    address = _address(name)
    is_loopback = name == "localhost" or name.endswith(".localhost")
    if address is not None:
        is_loopback = address.is_loopback or bound in {"0.0.0.0", "::"}
    if is_loopback or (name and name in {bound.lower(), *(_host_name(entry) for entry in allowed)}):
        return
    raise ApiError(
        "the request was refused",
        status=403,
        why=f'its Host header is "{host}", which is not a name of this server',
        fix="use the address that local-ai server status prints, or add the name to server.allowed_hosts",
        code="host_not_allowed",
    )


def check_origin(origin: str | None, host: str, allowed: Sequence[str] = ()) -> None:
    """Refuse what a web page of another site sends; apps, extensions and plain clients pass.

    Args:
        origin: The request's Origin header.
        host: Its Host header.
        allowed: `server.allowed_origins`, in lower case.

    Raises:
        ApiError: 403, naming the site.
    """
    if origin is None or origin.lower() in allowed:
        return
    parts = urlsplit(origin)
    is_page = origin == "null" or parts.scheme in {"http", "https"}
    if is_page and parts.netloc.lower() != host.lower():
        raise ApiError(
            "the request was refused",
            status=403,
            why=f'a page of another site sent it (Origin "{origin}")',
            fix="send it from this server's own page, or add that site to server.allowed_origins",
            code="origin_not_allowed",
        )


@dataclass
class AccessMiddleware:
    """ASGI middleware that refuses strangers before any other code sees a request."""

    app: ASGIApp
    bound: str  # `server.host`
    allowed: Sequence[str]  # `server.allowed_hosts`
    style_source: str  # the one inline style that the security policy allows: 'sha256-…'
    origins: Sequence[str] = ()  # `server.allowed_origins`
    keys: Callable[[], Sequence[str]] = tuple

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        policy = _POLICY.format(style=self.style_source).encode()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", policy),
                    *_EVERY_ANSWER,
                ]
            await send(message)

        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        try:
            check_host(headers.get(b"host", ""), bound=self.bound, allowed=self.allowed)
            if scope["method"] not in {"GET", "HEAD"}:
                check_origin(headers.get(b"origin"), headers.get(b"host", ""), self.origins)
            check_key(
                headers,
                method=scope["method"],
                path=scope["path"],
                peer=(scope.get("client") or (None,))[0],
                keys=self.keys(),
            )
        except ApiError as refusal:
            await _send_refusal(refusal, scope["path"], send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)


async def _send_refusal(refusal: ApiError, path: str, send: Send) -> None:
    response = refused_response(path, refusal)
    # The body was not read, so the connection cannot carry another request.
    response.headers["Connection"] = "close"
    headers = response.raw_headers
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(response.body)})


def _host_name(host: str) -> str:
    """Return the name without its port, in lower case: "[::1]:8080" is "::1"."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    name, _, port = host.rpartition(":")
    bare = name if name and port.isdigit() and ":" not in name else host
    return bare.rstrip(".").lower()


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None

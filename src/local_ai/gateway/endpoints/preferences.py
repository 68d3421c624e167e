"""How a visitor wants the page: kept in a cookie of the browser, so that the first paint has it already."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local_ai.gateway.forwarding.request_body import read_body

SCHEMES = ("auto", "light", "dark")
_SCHEME = "local-ai-scheme"
_KEPT_S = 365 * 24 * 3600
_MOST_BYTES = 1000


@dataclass(frozen=True)
class Preferences:
    """What one visitor has chosen."""

    scheme: str = "auto"  # one of SCHEMES; "auto": as the system


def read_preferences(request: Request) -> Preferences:
    """Return what the request's cookies say; the defaults where they say nothing that is known."""
    return Preferences(scheme=_known(request.cookies.get(_SCHEME), SCHEMES))


def preference_routes() -> list[Route]:
    """Answer `POST /preferences`: the form of a page without scripts; with them, the page sets the cookie."""
    return [Route("/preferences", _keep, methods=["POST"])]


async def _keep(request: Request) -> Response:
    body = await read_body(request, most_bytes=_MOST_BYTES, hold=lambda size: None)
    fields = parse_qs(body.decode("utf-8", "replace"))
    response = RedirectResponse("/#settings", status_code=303)
    scheme = _known(fields.get("scheme", [""])[0], SCHEMES)
    response.set_cookie(_SCHEME, scheme, max_age=_KEPT_S, samesite="strict")
    return response


def _known(value: str | None, known: tuple[str, ...]) -> str:
    return value if value in known else known[0]

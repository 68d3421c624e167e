"""A visitor's preferences: kept in a cookie of the browser, so that the first paint has them already."""

from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local_ai.gateway.forwarding.request_body import read_body
from local_ai.gateway.web.texts import Texts, language_for, load_texts

AUTO = "auto"
SCHEMES = (AUTO, "light", "dark")
_KEPT_S = 365 * 24 * 3600
_MOST_BYTES = 1000


@dataclass(frozen=True)
class Preferences:
    """The choices of one visitor."""

    scheme: str  # one of SCHEMES; "auto": as the system
    language: str  # of the texts, or "auto": as the browser
    texts: Texts  # in that language


def read_preferences(request: Request) -> Preferences:
    """Return what the request's cookies say; the defaults where they say nothing that is known."""
    language = _known("language", request.cookies.get(_cookie("language")))
    shown = language_for(request.headers.get("accept-language", "")) if language == AUTO else language
    return Preferences(
        scheme=_known("scheme", request.cookies.get(_cookie("scheme"))),
        language=language,
        texts=load_texts()[shown],
    )


def preference_routes() -> list[Route]:
    """Answer `POST /preferences`: the form of a page without scripts; with them, the page sets the cookie."""
    return [Route("/preferences", _keep, methods=["POST"])]


async def _keep(request: Request) -> Response:
    body = await read_body(request, most_bytes=_MOST_BYTES, hold=lambda size: None)
    fields = parse_qs(body.decode("utf-8", "replace"))
    response = RedirectResponse("/#settings", status_code=303)
    for name in ("scheme", "language"):
        if name in fields:
            value = _known(name, fields[name][0])
            response.set_cookie(_cookie(name), value, max_age=_KEPT_S, samesite="strict")
    return response


def _cookie(name: str) -> str:
    return f"local-ai-{name}"


def _known(name: str, value: str | None) -> str:
    known = SCHEMES if name == "scheme" else (AUTO, *load_texts())
    return value if value in known else AUTO

"""Further addresses, for clients whose base address has a part more or less than ours."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from local_ai.gateway.forwarding.routes import OTHER_ADDRESSES

_MODELS = "/v1/models"
_ASKED = "local_ai.asked_path"  # in the scope
_BASES = tuple(f"{base}{end}" for base in ("/v1", "/anthropic", "/anthropic/v1") for end in ("", "/"))


class OtherAddresses:
    """ASGI middleware that answers other addresses as our own.

    `/v1/models` is Anthropic's list where the header is sent that its SDKs send.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, under our own address."""
        if scope["type"] == "http":
            scope = _at_our_address(scope)
        await self._app(scope, receive, send)


def asked_path(request: Request) -> str:
    """Return the path that a client asked at, which is what an error names to it."""
    return str(request.scope.get(_ASKED, request.url.path))


def base_routes() -> list[Route]:
    """Answer at the base addresses, which clients ask with HEAD whether anything is there."""

    async def base(request: Request) -> Response:
        return PlainTextResponse(
            f"{request.url.path} is a base address of local-ai; /docs lists the paths.\n"
        )

    return [Route(path, base, methods=["GET"]) for path in _BASES]  # and with it HEAD


def _at_our_address(scope: Scope) -> Scope:
    path: str = scope["path"]
    if own := OTHER_ADDRESSES.get(path):
        return {**scope, "path": own, "raw_path": own.encode(), _ASKED: path}
    at_models = path.removeprefix("/v1") if path.startswith("/v1/v1/") else path
    if at_models == _MODELS or at_models.startswith(f"{_MODELS}/"):
        is_anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
        return {**scope, "path": f"/anthropic{at_models}"} if is_anthropic else scope
    return scope

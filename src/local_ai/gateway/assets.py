"""The page's files: a fixed list, compressed once, with validators so that browsers ask but rarely load."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "marked.esm.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_FOLDERS = {"marked.esm.js": "vendor"}


@dataclass(frozen=True)
class Asset:
    """One file, ready to be sent."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str


@cache
def load_asset(name: str) -> Asset:
    """Read and compress one of the page's files."""
    from local_ai.render import template_dir

    content = (template_dir() / "web" / _FOLDERS.get(name, "") / name).read_bytes()
    return Asset(
        content=content,
        compressed=gzip.compress(content, mtime=0),
        media_type=_TYPES[name],
        etag=f'"{hashlib.sha256(content).hexdigest()[:16]}"',
    )


def load_assets() -> None:
    """Load all of them, before they are asked for."""
    for name in _TYPES:
        load_asset(name)


def asset_routes() -> list[Route]:
    """Answer `/assets/NAME`."""
    return [Route(f"/assets/{name}", _sender(name)) for name in _TYPES]


def _sender(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        return answer_compressed(request, load_asset(name))

    return send


def answer_compressed(request: Request, asset: Asset) -> Response:
    """Answer with the file, compressed where the client takes that, or not at all where it has it."""
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.compressed, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)

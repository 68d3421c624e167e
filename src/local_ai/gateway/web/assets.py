"""The page's files, each compressed once, when it is first asked for.

Under an address with their digest they are asked for once and kept for good; any change of them is a new
address. Under `/assets/NAME` browsers ask each time, and rarely load.
"""

import base64
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """One file."""

    content: bytes
    media_type: str
    etag: str

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.content, mtime=0)


@cache
def load_assets() -> Mapping[str, Asset]:
    """Read the page's files; returns them by name."""
    from local_ai.supervision.render import template_dir

    folder = template_dir() / "web"
    files = sorted((*folder.iterdir(), *(folder / "vendor").iterdir()))
    return {file.name: _load(file) for file in files if file.suffix in _TYPES}


def page_style() -> str:
    """Return the page's style, which stands in the page itself: the first paint waits for no other file."""
    return load_assets()["page.css"].content.decode()


def page_style_source() -> str:
    """Return what names the page's style in a Content-Security-Policy: the digest of its bytes."""
    digest = hashlib.sha256(load_assets()["page.css"].content).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def assets_url() -> str:
    """Return the address below which the files are, as they are now."""
    etags = "".join(asset.etag for asset in load_assets().values())
    return f"/assets/{hashlib.sha256(etags.encode()).hexdigest()[:12]}"


def _load(file: Path) -> Asset:
    content = file.read_bytes()
    return Asset(
        content=content,
        media_type=_TYPES[file.suffix],
        etag=f'"{hashlib.sha256(content).hexdigest()[:16]}"',
    )


def asset_routes() -> list[Route]:
    """Answer `/assets/NAME` and `/assets/DIGEST/NAME`."""
    return [Route(path, _send) for path in ("/assets/{name}", "/assets/{digest}/{name}")]


async def _send(request: Request) -> Response:
    asset = load_assets().get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    # A page that was opened before the files changed gets what there is now, and does not keep it.
    is_exact = request.url.path.startswith(f"{assets_url()}/")
    kept = "max-age=31536000, immutable" if is_exact else "no-cache"
    return answer_compressed(request, asset, cache_control=kept)


def answer_compressed(request: Request, asset: Asset, *, cache_control: str) -> Response:
    """Answer with the file, compressed where the client takes that, or not at all where it has it."""
    headers = {"ETag": asset.etag, "Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.compressed, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)

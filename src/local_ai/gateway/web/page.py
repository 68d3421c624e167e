"""The welcome page: complete HTML from the server, with the status of this moment.

Its head is sent at once: while the status is asked for, the browser prepares the page.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local_ai.gateway.access.api_keys import is_local
from local_ai.gateway.context import GatewayContext
from local_ai.gateway.downloads.download import Download
from local_ai.gateway.model_cards import IncompleteCard, ModelCard, ModelCards, PeerCard
from local_ai.gateway.web.assets import assets_url, load_assets, page_style
from local_ai.gateway.web.network_address import network_url
from local_ai.gateway.web.preferences import Preferences, read_preferences
from local_ai.gateway.web.templates import load_template
from local_ai.gateway.web.texts import load_texts
from local_ai.gateway.web.view import View, failing_program, make_view
from local_ai.supervision.log_files import tail

_NO_CARDS = ModelCards((), (), (), None, "", 0, only_starter=False)
_NO_CARD = ModelCard(
    "", "", 0, "", "", None, True, None, False, False, False, False, False, True, "", "", (), True
)
_NO_BROKEN = IncompleteCard("", "", "", "", True, True)
_NO_PEER = PeerCard("", "", "", 0, "", (), ())
_NO_DOWNLOAD = Download("", "", None, 0)
_FRESH = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding, Accept-Language, Cookie"}
_TROUBLE_LINES = 12


@dataclass(frozen=True)
class Shelf:
    """The content of the models view, with the shapes of the rows that models-view.js fills."""

    models: ModelCards = _NO_CARDS
    downloads: Sequence[Download] = ()
    no_model: ModelCard = _NO_CARD
    no_broken: IncompleteCard = _NO_BROKEN
    no_peer: PeerCard = _NO_PEER
    no_download: Download = _NO_DOWNLOAD


def page_routes(context: GatewayContext) -> list[Route]:
    """Answer `/`: the page for browsers, one plain sentence for other clients."""

    async def page(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return _html(request, parts(request))
        report = await context.watch.report()
        return PlainTextResponse(f"{report.verdict.sentence}\n", headers=_FRESH)

    async def parts(request: Request) -> AsyncIterator[str]:
        preferences = read_preferences(request)
        yield render_head(preferences)
        report = await context.watch.report()
        lines: list[str] = []
        if failing := failing_program(report):
            lines = await asyncio.to_thread(tail, context.state.paths.log(failing), lines=_TROUBLE_LINES)
        default = await context.model_named(report.default_model) if report.default_model else None
        settings = context.state.settings
        outside = await asyncio.to_thread(network_url, settings.server.host, settings.server.port)
        view = make_view(
            report, settings, default, preferences.texts.script, log_lines=lines, network_url=outside
        )
        yield render_page(view, preferences, await _shelf(request, context))

    return [Route("/", page)]


async def _shelf(request: Request, context: GatewayContext) -> Shelf:
    """Return the models and downloads, but not to clients that would need a key to list them."""
    keys = context.state.settings.server.api_keys
    if keys and not is_local(request.client.host if request.client else None):
        return Shelf()
    return Shelf(await context.cards(), context.downloads.all())


def render_head(preferences: Preferences) -> str:
    """Render the page's beginning, which does not depend on the status."""
    return load_template("head.html").render(style=page_style(), **_shared(preferences))


def render_page(view: View, preferences: Preferences, shelf: Shelf) -> str:
    """Render the page, from where its beginning ends."""
    return load_template("page.html").render(
        view=view, report=view.report, script=preferences.texts.script, **_shared(preferences), **vars(shelf)
    )


def _html(request: Request, parts: AsyncIterator[str]) -> Response:
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers = _FRESH | {"Content-Encoding": "gzip"}
        return _Page(compressed(parts), headers=headers, media_type="text/html")
    return _Page(parts, headers=_FRESH, media_type="text/html")


class _Page(StreamingResponse):
    """Written to its end, also where its reader leaves: what would watch for that takes 20 ms to import."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the parts as they come."""
        await self.stream_response(send)


async def compressed(parts: AsyncIterator[str]) -> AsyncIterator[bytes]:
    """Compress each part so that it can be read before the next one comes."""
    compress = zlib.compressobj(level=5, wbits=zlib.MAX_WBITS | 16)
    async for part in parts:
        yield compress.compress(part.encode()) + compress.flush(zlib.Z_SYNC_FLUSH)
    yield compress.flush()


def render_document(request: Request, name: str, **values: object) -> str:
    """Render a page besides the main one, as its visitor wants it."""
    return load_template(name).render(**_shared(read_preferences(request)), **values)


def _shared(preferences: Preferences) -> dict[str, object]:
    """Return what every template needs."""
    return {
        "preferences": preferences,
        "languages": load_texts().values(),
        "text": preferences.texts.views,
        "assets": assets_url(),
    }


def prepare_page() -> None:
    """Load what the first visitor would wait for, while no other work competes with it."""
    load_template("head.html")
    load_template("page.html")
    load_assets()
    load_texts()

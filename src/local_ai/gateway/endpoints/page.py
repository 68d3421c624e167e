"""The welcome page: complete HTML from the server, with the status of this moment."""

from __future__ import annotations

import asyncio
import gzip
from functools import cache
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.assets import assets_url
from local_ai.gateway.endpoints.network_address import network_url
from local_ai.gateway.endpoints.preferences import Preferences, read_preferences
from local_ai.gateway.endpoints.view import View, failing_program, make_view
from local_ai.supervision.log_files import tail

if TYPE_CHECKING:
    import jinja2

_FRESH = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding, Cookie"}
_TROUBLE_LINES = 12


def page_routes(context: GatewayContext) -> list[Route]:
    """Answer `/`: the page for browsers, one plain sentence for other clients."""

    async def page(request: Request) -> Response:
        report = await context.watch.report()
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(f"{report.verdict.sentence}\n", headers=_FRESH)
        lines: list[str] = []
        if failing := failing_program(report):
            lines = await asyncio.to_thread(tail, context.state.paths.log(failing), lines=_TROUBLE_LINES)
        default = await context.model_named(report.default_model) if report.default_model else None
        settings = context.state.settings
        outside = await asyncio.to_thread(network_url, settings.server.host, settings.server.port)
        view = make_view(report, settings, default, log_lines=lines, network_url=outside)
        return _html(request, render_page(view, read_preferences(request)))

    return [Route("/", page)]


def render_page(view: View, preferences: Preferences) -> str:
    """Render the page."""
    return load_page().render(view=view, report=view.report, preferences=preferences, assets=assets_url())


def _html(request: Request, text: str) -> Response:
    headers, content = dict(_FRESH), text.encode()
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        content = gzip.compress(content, compresslevel=5, mtime=0)
    return Response(content, headers=headers, media_type="text/html")


def load_page() -> jinja2.Template:
    """Load the page's template."""
    return load_template("page.html")


@cache
def load_template(name: str) -> jinja2.Template:
    """Load a template of the folder `web`; jinja2 takes 0.1 s to import."""
    import jinja2

    from local_ai.supervision.render import template_dir

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_dir() / "web"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)

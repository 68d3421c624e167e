"""The welcome page: complete HTML from the server, with the status of this moment."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from local_ai.gateway.site import Site
from local_ai.status import Report

if TYPE_CHECKING:
    import jinja2

_FRESH = {"Cache-Control": "no-store", "Vary": "Accept"}


def page_router(site: Site) -> APIRouter:
    """Answer `/`: the page for browsers, one plain sentence for other clients."""
    router = APIRouter()

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        report = await site.watch.report()
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(render_page(report), headers=_FRESH)
        return PlainTextResponse(f"{report.verdict.sentence}\n", headers=_FRESH)

    return router


def render_page(report: Report) -> str:
    """Render the page from a report."""
    return _template().render(report=report)


@cache
def _template() -> jinja2.Template:
    import jinja2

    from local_ai.render import template_dir

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_dir() / "web"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")

"""Pulls of models from the hub, over HTTP: start, look, cancel."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from local_ai.gateway.context import GatewayContext
from local_ai.gateway.downloads.download import Download
from local_ai.gateway.endpoints.actions import Body, act, body_of
from local_ai.gateway.endpoints.query import refusals
from local_ai.gateway.endpoints.schemas import DownloadsBody


class PullBody(Body):
    """A model on the configured hub."""

    model: str = Field(min_length=1, max_length=300)  # ORG/NAME, or the address of its page
    revision: str | None = None  # a branch, tag or commit; main where it is not said
    even_if_too_large: bool = False  # for this machine's memory


class CancelBody(Body):
    """A pull, by its id."""

    model: str = Field(min_length=1, max_length=700)


def downloads_router(context: GatewayContext) -> APIRouter:
    """Answer `/downloads.json`, `/models/pull` and `/models/pull/cancel`."""
    router = APIRouter(responses=refusals(401, 403))
    downloads = context.downloads

    @router.get("/downloads.json", response_model=DownloadsBody)
    async def list_all(response: Response) -> Any:
        """List the pulls that run and the last ones that have ended, the newest first."""
        response.headers["Cache-Control"] = "no-store"
        return {"downloads": [asdict(each) for each in downloads.all()]}

    @router.post(
        "/models/pull",
        status_code=202,
        response_model=Download,
        responses=refusals(303, 400, 415, 429, 503),
        openapi_extra=body_of(PullBody),
    )
    async def pull(request: Request) -> Response:
        """Start to download a model, or go on with an interrupted download; `/downloads.json` follows it."""

        async def start(body: PullBody) -> dict[str, Any]:
            return asdict(
                downloads.start(body.model, body.revision, even_if_too_large=body.even_if_too_large)
            )

        return await act(request, PullBody, start, status=202)

    @router.post(
        "/models/pull/cancel",
        response_model=Download,
        responses=refusals(303, 400, 404, 415),
        openapi_extra=body_of(CancelBody),
    )
    async def cancel(request: Request) -> Response:
        """End a download; what has come is kept, and the next pull goes on there."""

        async def end(body: CancelBody) -> dict[str, Any]:
            return asdict(await downloads.cancel(body.model))

        return await act(request, CancelBody, end)

    return router

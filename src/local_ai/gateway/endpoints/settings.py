"""The settings: shown with their origins, and changed where a running server can take a change.

GET  /settings        a page with a form, complete without scripts; settings.js takes the form into the page
GET  /settings.json   the same as data
POST /settings        the form, or {"changes": {KEY: VALUE}}: checked, written to the file, applied
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import ValidationError

from local_ai.entry import as_called
from local_ai.errors import LocalAIError
from local_ai.gateway.access.api_keys import given_key, is_local, require_key
from local_ai.gateway.access.middleware import check_origin
from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.actions import as_api_error
from local_ai.gateway.endpoints.query import refusals
from local_ai.gateway.endpoints.schemas import ReloadBody, SettingsBody, SettingsChange
from local_ai.gateway.forwarding.request_body import read_body
from local_ai.gateway.reload import change_settings
from local_ai.gateway.web.page import render_document
from local_ai.gateway.web.settings_form import Form, Mistakes, fields_of, make_form, read_changes
from local_ai.serving.dialects import Dialect, error_response
from local_ai.serving.errors import ApiError
from local_ai.serving.json_body import parse_json
from local_ai.settings.describe import Described, describe_all
from local_ai.settings.load import COMMAND_LINE, Loaded, known_keys
from local_ai.settings.problems import InvalidSettings
from local_ai.settings.state import State
from local_ai.supervision.reload import load_for

_FRESH = {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}
_MOST_BYTES = 256 * 1024
_RUNNING = "the running server"


def settings_router(context: GatewayContext) -> APIRouter:
    """Answer `/settings` and `/settings.json`."""
    router = APIRouter(responses=refusals(401, 403))

    @router.get("/settings.json", response_model=SettingsBody)
    async def as_data(response: Response) -> Any:
        """Return every setting with its value, its origin, and whether POST /settings can change it."""
        response.headers.update(_FRESH)
        rows, problem = await asyncio.to_thread(_read, context.state)
        return {
            "file": str(context.state.file),
            "problem": problem,
            "settings": [asdict(row) for row in rows],
        }

    @router.get("/settings", include_in_schema=False)
    async def as_page(request: Request) -> Response:
        """Return the form."""
        saved = request.query_params.get("saved")
        return await _page(request, context, saved=saved.split() if saved is not None else None)

    @router.post(
        "/settings",
        response_model=ReloadBody,
        responses=refusals(303, 400, 409, 422),
        openapi_extra={
            "requestBody": {"content": {"application/json": {"schema": SettingsChange.model_json_schema()}}}
        },
    )
    async def change(request: Request) -> Response:
        """Check values, write them to the settings file, and take what can change in place."""
        body = await read_body(request, most_bytes=_MOST_BYTES, hold=lambda size: None)
        if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
            check_sender(request, context.state)
            try:
                return await _change_by_data(context, body)
            except ApiError as error:
                return error_response(Dialect.OPENAI, error)
        fields = fields_of(body)
        check_sender(request, context.state, key=fields.get("key", ""))
        return await _change_by_form(request, context, fields)

    return router


def check_sender(request: Request, state: State, *, key: str = "") -> None:
    """Let in our own page and programs: with a key where there are some, else from this machine.

    Raises:
        ApiError: 401 or 403.
    """
    check_origin(request.headers.get("origin"), request.headers.get("host", ""))
    keys = [each.get_secret_value() for each in state.settings.server.api_keys]
    if keys:
        sent = {name: value.decode("latin-1") for name, value in request.headers.raw}
        require_key(given_key(sent) or key, keys)
    elif not is_local(request.client.host if request.client else None):
        raise ApiError(
            "the request was refused",
            status=403,
            why="while server.api_keys is empty, settings are changed on this machine alone",
            fix="set server.api_keys, or open the page on the machine that the server runs on",
            code="not_local",
        )


def _read(state: State) -> tuple[list[Described], str]:
    """Describe the settings, and say what is wrong with the file, if anything is."""
    try:
        return describe_all(state.settings, load_for(state)), ""
    except LocalAIError as error:
        origins = dict.fromkeys(known_keys(), _RUNNING) | dict.fromkeys(state.given.values, COMMAND_LINE)
        return describe_all(state.settings, Loaded(state.settings, origins, None, ())), error.sentence


async def _change_by_data(context: GatewayContext, body: bytes) -> Response:
    try:
        changes = parse_json(body, SettingsChange.model_validate_json).changes
    except ValidationError as error:
        raise ApiError(
            "no setting was changed",
            status=400,
            why="the body is not what this address takes",
            fix='send {"changes": {"generation.max_tokens": 1024}}',
            code="invalid_body",
            param="changes",
        ) from error
    rows, _problem = await asyncio.to_thread(_read, context.state)
    known = {row.key: row for row in rows}
    for key in changes:
        if key not in known or not known[key].can_change:
            raise ApiError(
                f"{key} was not changed",
                status=409 if key in known else 422,
                why=_why_not(known[key]) if key in known else "there is no such setting",
                fix="see what can be changed at /settings.json",
                code="not_changeable",
                param=key,
            )
    try:
        reload = await change_settings(context, changes)
    except InvalidSettings as error:
        first = error.problems[0]
        raise ApiError(
            error.what,
            status=422,
            why="; ".join(f"{each.key}: {each.message}" for each in error.problems),
            fix="send other values",
            code="invalid_settings",
            param=first.key,
        ) from error
    except LocalAIError as error:
        raise as_api_error(error, code="not_changed") from error
    return JSONResponse(
        {
            "changed": [asdict(each) for each in reload.changed],
            "needs_restart": [asdict(each) for each in reload.needs_restart],
        },
        headers=_FRESH,
    )


def _why_not(row: Described) -> str:
    if row.is_given:
        return f"it was set by {row.origin}, which wins over the file"
    return "it changes with a restart alone"


async def _change_by_form(request: Request, context: GatewayContext, fields: Mapping[str, str]) -> Response:
    rows, _ = await asyncio.to_thread(_read, context.state)
    changes, mistakes = read_changes(rows, fields)
    if not mistakes:
        try:
            reload = await change_settings(context, changes)
        except InvalidSettings as error:
            mistakes = Mistakes.of(error, changes, fields)
        except LocalAIError as error:
            mistakes = Mistakes(general=error.sentence, typed=fields)
        else:
            saved = urlencode({"saved": " ".join(change.key for change in reload.changed)})
            return RedirectResponse(f"/settings?{saved}", status_code=303)
    return await _page(request, context, mistakes=mistakes)


async def _page(
    request: Request,
    context: GatewayContext,
    *,
    mistakes: Mistakes | None = None,
    saved: list[str] | None = None,
) -> Response:
    state = context.state
    rows, problem = await asyncio.to_thread(_read, state)
    form: Form = make_form(rows, mistakes=mistakes, saved=saved)
    text = render_document(
        request,
        "settings_page.html",
        form=form,
        problem=problem,
        file=str(state.file),
        needs_key=bool(state.settings.server.api_keys),
        restart_command=as_called("local-ai server restart"),
        version=state.version,
    )
    return HTMLResponse(text, 422 if mistakes else 200, headers=_FRESH)

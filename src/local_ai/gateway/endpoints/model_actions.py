"""The models of this machine for the page: what there is, and load, unload, pin, make default, remove."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from local_ai.errors import LocalAIError
from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.actions import Body, act, as_api_error, body_of, error_page
from local_ai.gateway.endpoints.query import refusals
from local_ai.gateway.endpoints.schemas import Done, ModelsBody
from local_ai.gateway.model_cards import configured_default
from local_ai.gateway.upstream.client import EngineAbsent, EngineGone
from local_ai.gateway.web.page import render_document
from local_ai.models.catalog import find_model, list_incomplete
from local_ai.models.library import library_of
from local_ai.models.not_found import model_not_found
from local_ai.models.removal import Removal, plan_removal, refuse_if_used, remove
from local_ai.serving.errors import ApiError
from local_ai.settings.state import State
from local_ai.status.figures import size_in_words

_LONGEST = 700

Action = Callable[[str], Awaitable[str]]  # of a model's id


class NamedBody(Body):
    """A model of this machine, by its id."""

    model: str = Field(min_length=1, max_length=_LONGEST)


def model_actions_router(context: GatewayContext) -> APIRouter:
    """Answer `/models.json` and what is below `/models/`, pulls aside."""
    router = APIRouter(responses=refusals(401, 403))

    @router.get("/models.json", response_model=ModelsBody)
    async def cards(response: Response) -> Any:
        """List the models as the page shows them, the downloads, and models to begin with."""
        response.headers["Cache-Control"] = "no-store"
        downloads = [asdict(each) for each in context.downloads.all()]
        return asdict(await context.cards()) | {"downloads": downloads}

    def action(path: str) -> Callable[[Action], Action]:
        """Have a function do what is posted to a path; it returns what it did, in a sentence."""

        def register(do: Action) -> Action:
            @router.post(
                path,
                name=do.__name__,
                description=do.__doc__,
                response_model=Done,
                responses=refusals(303, 400, 404, 409, 415, 503),
                openapi_extra=body_of(NamedBody),
            )
            async def answer(request: Request) -> Response:
                async def done(body: NamedBody) -> dict[str, str]:
                    return {"done": await do(body.model)}

                return await act(request, NamedBody, done)

            return do

        return register

    @action("/models/load")
    async def load(model: str) -> str:
        """Load a model into memory; answers once it is there."""
        await context.model_named(model)
        await context.forwarding.gate.pass_through()
        await _ask_engine(context, "/api/generate", {"model": model}, "loaded")
        return f"{model} is in memory."

    @action("/models/unload")
    async def unload(model: str) -> str:
        """Give a model's memory back; running answers are waited for."""
        await context.model_named(model)
        await _ask_engine(context, "/api/generate", {"model": model, "keep_alive": 0}, "unloaded")
        return f"{model} is no longer in memory."

    @action("/models/pin")
    async def pin(model: str) -> str:
        """Load a model, and keep it in memory."""
        await context.model_named(model)
        await context.forwarding.gate.pass_through()
        await _ask_engine(context, "/pin", {"model": model, "pinned": True}, "pinned")
        return f"{model} stays in memory until it is unpinned, or the server ends."

    @action("/models/unpin")
    async def unpin(model: str) -> str:
        """Let a pinned model be unloaded again like any other."""
        await context.model_named(model)
        said = await _ask_engine(context, "/pin", {"model": model, "pinned": False}, "unpinned")
        if json.loads(said)["pinned"]:
            raise ApiError(
                f"{model} stays pinned",
                status=409,
                why="the settings pin it",
                fix="take pin = true out of its table in the settings file, then run",
                command="local-ai config reload",
                code="pinned_by_settings",
            )
        return f"{model} is unloaded like any other again."

    @action("/models/default")
    async def make_default(model: str) -> str:
        """Write a model into the settings as the default; the server takes it with its next start."""
        return await asyncio.to_thread(_make_default, model, context.state)

    @action("/models/remove")
    async def remove_one(model: str) -> str:
        """Remove a model from this machine; never one that is in use."""
        plan = await _plan_removal(model, context)
        await asyncio.to_thread(remove, plan, context.state.paths)
        return f"{model} is removed: {size_in_words(plan.size_bytes)} given back."

    @router.get("/models/remove", include_in_schema=False)
    async def ask_before_removal(request: Request, model: str = "") -> Response:
        """Ask before a removal, for a page without JavaScript."""
        try:
            plan = await _plan_removal(model[:_LONGEST], context)
        except LocalAIError as exc:
            return error_page(request, as_api_error(exc))
        page = render_document(
            request, "remove.html", model=model, size=size_in_words(plan.size_bytes), folder=plan.folder
        )
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    return router


async def _ask_engine(context: GatewayContext, path: str, wanted: dict[str, Any], done: str) -> bytes:
    """Have the engine load, unload or pin a model.

    Args:
        path: `/pin`; or `/api/generate`, for a request of Ollama's API that says nothing loads or unloads.
        done: The verb of what is wanted, for the error.

    Returns:
        The body of its answer.
    """
    try:
        status, said = await context.forwarding.upstream.ask("POST", path, json.dumps(wanted).encode())
    except (EngineAbsent, EngineGone) as exc:
        context.watch.engine_is_gone()
        raise ApiError(
            "the engine did not do it",
            status=503,
            why="it is not running" if isinstance(exc, EngineAbsent) else "it ended meanwhile",
            fix="look at its log, then try again",
            command="local-ai server logs --program mlx-omni-server",
            code="engine_gone",
        ) from exc
    if status >= 400:
        raise ApiError(
            f"{wanted['model']} was not {done}",
            status=status,
            why=_said_error(said),
            command="local-ai server status",
            code="engine_refused",
        )
    return said


def _said_error(said: bytes) -> str:
    try:
        error = json.loads(said)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return "the engine gave no reason"


def _make_default(name: str, state: State) -> str:
    from local_ai.settings.edit import set_value

    library = library_of(state)
    model = find_model(name, library.models)
    if model is None:
        raise model_not_found(name, library)
    set_value(state.file, "model.path", model.id)
    if (given := configured_default(state)) != model.id:
        return f"{model.id} is written into {state.file}, but this server was started with {given} by hand."
    return f"{model.id} is the default from the next start on ({state.file})."


async def _plan_removal(name: str, context: GatewayContext) -> Removal:
    state = context.state
    health = (await context.watch.look()).health
    in_memory = (*health.in_memory, health.loading) if health else ()

    def plan() -> Removal:
        library = library_of(state)
        folders = [(model.id, model.path) for model in library.models]
        folders += [(one.id, one.path) for one in list_incomplete(state.paths, library.configured)]
        folder = next((path for found, path in folders if found == name), None)
        if folder is None:
            raise model_not_found(name, library)
        refuse_if_used(
            name,
            folder,
            in_memory=in_memory,
            settings=configured_default(state),
            server=state.settings.model.path,
        )
        return plan_removal(name, folder, state.paths)

    return await asyncio.to_thread(plan)

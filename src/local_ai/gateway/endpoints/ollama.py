"""Of Ollama's API, what the gateway answers by itself: its version, the models here, and those in memory.

Source: https://docs.ollama.com/api
"""

import time
from typing import Any

from fastapi import APIRouter, Request

from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.query import refusals
from local_ai.gateway.endpoints.schemas import OllamaLoaded, OllamaModels, OllamaVersion
from local_ai.gateway.peers.peers import as_own
from local_ai.models.ollama import API_VERSION, entry, written

_NEVER = "9999-12-31T23:59:59Z"


def ollama_router(context: GatewayContext) -> APIRouter:
    """Answer `/api/version`, `/api/tags` and `/api/ps`."""
    router = APIRouter(responses=refusals(401, 403))

    @router.get("/api/version", response_model=OllamaVersion)
    async def version() -> Any:
        """Say which version of Ollama's API is answered: clients refuse one that is too old."""
        return {"version": API_VERSION}

    @router.get("/api/tags", response_model=OllamaModels)
    async def tags(request: Request) -> Any:
        """List the models of this machine, and then those of its peers, as Ollama does."""
        models = [*await context.models(), *map(as_own, await context.peer_models(request.headers))]
        return {"models": [entry(model) | {"modified_at": written(model.created)} for model in models]}

    @router.get("/api/ps", response_model=OllamaLoaded)
    async def ps() -> Any:
        """List the models in memory, the latest used first."""
        health = (await context.forwarding.upstream.look()).health
        listed = []
        for held in health.models if health else ():
            if found := await context.model_named(held.id):
                due_s = held.unloads_in_s
                listed.append(
                    entry(found)
                    | {
                        "expires_at": _NEVER if due_s is None else written(time.time() + due_s),
                        "size_vram": found.size_bytes if health and health.blas is None else 0,
                        "context_length": found.context_tokens or 0,
                    }
                )
        return {"models": listed}

    return router

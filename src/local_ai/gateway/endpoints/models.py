"""The models of this machine in the two families' shapes.

Source: https://platform.openai.com/docs/api-reference/models and
https://docs.anthropic.com/en/api/models-list.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request

from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.query import number_parameter, refusals, whole_number
from local_ai.gateway.endpoints.schemas import (
    AnthropicModel,
    AnthropicModelList,
    OpenAIModel,
    OpenAIModelList,
)
from local_ai.gateway.peers.peers import ListedModel, as_own
from local_ai.models.catalog import Model
from local_ai.settings.schema import GenerationSettings

MOST_PER_PAGE = 1000


def openai_model(model: Model, generation: GenerationSettings) -> dict[str, Any]:
    """Return one model as OpenAI describes it; the owner is the id's organisation."""
    owner = model.id.partition("/")[0] if "/" in model.id else "local"
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": owner,
        "context_length": model.context_tokens,
        "input_modalities": ["text", "image"] if model.sees else ["text"],
        "one_at_a_time": model.one_at_a_time,
        "defaults": generation.of_model(model.own).model_dump(),
        "peer": None,
    }


def peer_model(listed: ListedModel) -> dict[str, Any]:
    """Return a peer's model as OpenAI describes it; the owner is the peer, and its defaults are not known."""
    peer = listed.peer
    return openai_model(as_own(listed), GenerationSettings()) | {
        "owned_by": peer.name,
        "one_at_a_time": None,
        "defaults": None,
        "peer": {"name": peer.name, "state": peer.state, "since": peer.since, "why": peer.why},
    }


def openai_list(models: Sequence[Model], generation: GenerationSettings) -> dict[str, Any]:
    """Return all models as OpenAI lists them."""
    return {"object": "list", "data": [openai_model(model, generation) for model in models]}


def anthropic_model(model: Model) -> dict[str, Any]:
    """Return one model as Anthropic describes it."""
    created = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = model.id.rpartition("/")[2]
    return {
        "type": "model",
        "id": model.id,
        "display_name": name,
        "created_at": created,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.context_tokens,  # prompt and answer share the context
    }


def anthropic_list(
    models: Sequence[Model],
    *,
    limit: int = MOST_PER_PAGE,
    after: str | None = None,
    before: str | None = None,
) -> dict[str, Any]:
    """Return one page of models as Anthropic lists them.

    Args:
        limit: Most models of the page, 1 to 1000.
        after: The page begins behind this id.
        before: The page ends ahead of this id.
    """
    ids = [model.id for model in models]
    start = ids.index(after) + 1 if after in ids else 0
    end = ids.index(before) if before in ids else len(ids)
    if before in ids:
        start = max(start, end - limit)
    page = models[start : min(end, start + limit)]
    return {
        "data": [anthropic_model(model) for model in page],
        "has_more": start > 0 if before in ids else start + len(page) < len(ids),
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
    }


def models_router(context: GatewayContext) -> APIRouter:
    """Answer the families' model lists from the model folders."""
    router = APIRouter(responses=refusals(401, 403))

    @router.get("/v1/models", response_model=OpenAIModelList)
    async def openai_models(request: Request) -> Any:
        """List the models of this machine, and then those of its peers."""
        own = openai_list(await context.models(), context.state.settings.generation)
        return own | {"data": [*own["data"], *map(peer_model, await context.peer_models(request.headers))]}

    @router.get("/v1/models/{id:path}", response_model=OpenAIModel, responses=refusals(404))
    async def openai_one(request: Request, id: str) -> Any:  # noqa: A002 (the name in the address)
        """Describe one model."""
        if found := await context.peer_model(id, request.headers):
            return peer_model(found)
        return openai_model(await context.model_named(id), context.state.settings.generation)

    @router.get(
        "/anthropic/v1/models",
        response_model=AnthropicModelList,
        responses=refusals(400),
        openapi_extra={"parameters": [number_parameter("limit", most=MOST_PER_PAGE)]},
    )
    async def anthropic_models(
        request: Request, after_id: str | None = None, before_id: str | None = None
    ) -> Any:
        """List the models of this machine, and then those of its peers, in pages."""
        limit = whole_number(request, "limit", default=MOST_PER_PAGE, most=MOST_PER_PAGE)
        models = [*await context.models(), *map(as_own, await context.peer_models(request.headers))]
        return anthropic_list(models, limit=limit, after=after_id, before=before_id)

    @router.get("/anthropic/v1/models/{id:path}", response_model=AnthropicModel, responses=refusals(404))
    async def anthropic_one(request: Request, id: str) -> Any:  # noqa: A002
        """Describe one model."""
        if found := await context.peer_model(id, request.headers):
            return anthropic_model(as_own(found))
        return anthropic_model(await context.model_named(id))

    return router

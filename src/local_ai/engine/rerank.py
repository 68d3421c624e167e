"""/v1/rerank in Jina's and Cohere's shape, on a thread of its own.

Source: https://docs.cohere.com/reference/rerank and https://jina.ai/reranker.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from local_ai.engine.api.body import Body, Flag, ListOf, Must, NoEffect, Reason, Refused, TextOr
from local_ai.engine.core.memory.release import release_buffers
from local_ai.engine.errors import bad_field
from local_ai.engine.side_models import SideModels
from local_ai.models.catalog import Model

if TYPE_CHECKING:
    from local_ai.engine.core.model.rerank_model import RerankModel

MOST_DOCUMENTS = 1000
_AT_ONCE = 16  # pairs read in one step
_WHOLE = "a document is read whole or not at all"


class RerankDocument(Body):
    """A document as an object."""

    text: str


class RerankRequest(Body):
    """A /v1/rerank body."""

    model: str
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[
        ListOf[Annotated[TextOr[RerankDocument], Must("a text, or an object with a text")]],
        Field(min_length=1, max_length=MOST_DOCUMENTS),
    ]
    top_n: Annotated[int, Field(ge=1, le=10**9)] | None = None
    return_documents: Flag = None
    priority: NoEffect = None
    max_tokens_per_doc: Annotated[Refused, Reason(_WHOLE)] = None
    max_chunks_per_doc: Annotated[Refused, Reason(_WHOLE)] = None
    rank_fields: Annotated[Refused, Reason("documents have a text alone")] = None
    return_embeddings: Annotated[Refused, Reason("a reranker makes no vectors")] = None

    @property
    def texts(self) -> list[str]:
        return [each if isinstance(each, str) else each.text for each in self.documents]


@dataclass(frozen=True)
class Ranked:
    """Scores of documents: how well each answers a query."""

    scores: tuple[float, ...]  # 0 to 1, one a document, in the request's order
    tokens: int


class Reranker(SideModels["RerankModel"]):
    """Ranks with the models of this machine."""

    kind, does = "rerank", "reranks"

    def load(self, folder: Path) -> RerankModel:
        from local_ai.engine.core.model.rerank_model import load_rerank_model

        return load_rerank_model(folder)

    async def rank(self, request: RerankRequest) -> Ranked:
        """Score all documents.

        Raises:
            ApiError: No such model, it is no reranker, or a document is too long for it.
        """
        return await self.use(request.model, lambda model, found: _rank(model, found, request))


def rerank_body(ranked: Ranked, request: RerankRequest) -> dict[str, Any]:
    """Write the answer: the best first."""
    texts = request.texts
    order = sorted(range(len(texts)), key=lambda index: -ranked.scores[index])[: request.top_n]
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": ranked.scores[index]}
        | ({"document": {"text": texts[index]}} if request.return_documents else {})
        for index in order
    ]
    return {
        "id": f"rerank-{uuid.uuid4().hex}",
        "model": request.model,
        "results": results,
        "usage": {"prompt_tokens": ranked.tokens, "total_tokens": ranked.tokens},
    }


def _rank(model: RerankModel, found: Model, request: RerankRequest) -> Ranked:
    texts, limit = request.texts, found.context_tokens
    counts = [model.count(request.query, text) for text in texts]
    for index, count in enumerate(counts):
        if limit is not None and count > limit:
            raise bad_field(
                f"documents[{index}]",
                f"with the query it has {count} tokens and the context of {found.id!r} holds {limit}",
                "split it",
                code="context_length_exceeded",
            )
    scores: list[float] = []
    for at in range(0, len(texts), _AT_ONCE):
        scores += model.score(request.query, texts[at : at + _AT_ONCE])
        release_buffers()
    return Ranked(tuple(scores), sum(counts))

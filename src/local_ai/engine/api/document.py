"""The requests in docs/openapi.json, generated from the models that read them."""

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from local_ai.engine.api.anthropic.request import MessagesRequest
from local_ai.engine.api.ollama.request import (
    OllamaChatRequest,
    OllamaEmbeddingsRequest,
    OllamaEmbedRequest,
    OllamaGenerateRequest,
    OllamaShowRequest,
)
from local_ai.engine.api.openai.request import ChatRequest, CompletionRequest
from local_ai.engine.api.responses.request import ResponseRequest
from local_ai.engine.embeddings import EmbeddingRequest
from local_ai.engine.rerank import RerankRequest

Json = dict[str, Any]

REQUESTS: dict[str, type[BaseModel]] = {
    "POST /v1/chat/completions": ChatRequest,
    "POST /v1/completions": CompletionRequest,
    "POST /v1/responses": ResponseRequest,
    "POST /v1/embeddings": EmbeddingRequest,
    "POST /v1/rerank": RerankRequest,
    "POST /anthropic/v1/messages": MessagesRequest,
    "POST /api/chat": OllamaChatRequest,
    "POST /api/generate": OllamaGenerateRequest,
    "POST /api/embed": OllamaEmbedRequest,
    "POST /api/embeddings": OllamaEmbeddingsRequest,
    "POST /api/show": OllamaShowRequest,
}
_REF = "#/components/schemas/"


class _Plain(GenerateJsonSchema):
    """JSON Schema without titles and defaults; null, which is as good as absent, is not shown."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def request_schemas() -> Json:
    """Describe every request's body, and what is inside them, by name."""
    models = [(model, "validation") for model in REQUESTS.values()]
    _, described = models_json_schema(
        models,  # type: ignore[arg-type]
        schema_generator=_Plain,
        ref_template=_REF + "{model}",
    )
    schemas: Json = described["$defs"]
    for schema in schemas.values():
        schema.pop("title", None)
    return schemas


def with_requests(document: Json) -> Json:
    """Return the document with its requests' schemas as the models have them, and no schema unused."""
    described = document["components"]["schemas"] | request_schemas()
    used: set[str] = set()
    waiting = _named(document["paths"])
    while waiting := waiting - used:
        used |= waiting
        waiting = {inner for name in waiting for inner in _named(described[name])}
    schemas = {name: schema for name, schema in described.items() if name in used}
    return document | {"components": document["components"] | {"schemas": schemas}}


def _named(part: Any) -> set[str]:
    """List the schemas that a part of the document refers to."""
    text = json.dumps(part)
    return {found.partition('"')[0] for found in text.split(_REF)[1:]}

"""docs/openapi.json is the code's own: its fields are those of the tables, its bounds the readers'."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.api.test_api_tables import DOCUMENT as TABLES
from tests.engine.api.test_api_tables import READERS, table
from tests.engine.generated import read_document

from local_ai.engine.api.document import with_requests
from local_ai.gateway.forwarding.routes import ROUTES
from local_ai.serving.errors import ApiError

SCHEMAS = {
    "POST /v1/chat/completions": "ChatRequest",
    "POST /v1/completions": "CompletionRequest",
    "POST /v1/responses": "ResponseRequest",
    "POST /v1/embeddings": "EmbeddingRequest",
    "POST /v1/rerank": "RerankRequest",
    "POST /anthropic/v1/messages": "MessagesRequest",
    "POST /api/chat": "OllamaChatRequest",
    "POST /api/generate": "OllamaGenerateRequest",
    "POST /api/embed": "OllamaEmbedRequest",
    "POST /api/embeddings": "OllamaEmbeddingsRequest",
    "POST /api/show": "OllamaShowRequest",
}
NOT_DESCRIBED = {"/v1/audio/speech", "/v1/audio/transcriptions", "/v1/images/generations"}  # not our own
OUR_OWN = (
    "/api/version",
    "/api/tags",
    "/api/ps",
    "/api/pull",
    "/healthz",
    "/readyz",
    "/status.json",
    "/activity.json",
    "/queue.json",
    "/downloads.json",
    "/models.json",
    "/metrics",
    "/logs/",
    "/diagnostics.json",
    "/settings.json",
    "/settings",
)
NEEDS = {
    ("POST /v1/chat/completions", "top_logprobs"): {"logprobs": True},
    ("POST /api/chat", "top_logprobs"): {"logprobs": True},
    ("POST /api/generate", "top_logprobs"): {"logprobs": True},
    ("POST /v1/responses", "top_logprobs"): {"include": ["message.output_text.logprobs"]},
}


def properties(heading: str) -> dict[str, Any]:
    found: dict[str, Any] = read_document()["components"]["schemas"][SCHEMAS[heading]]["properties"]
    return found


def needs(heading: str, field: str, value: object) -> dict[str, Any]:
    """What else a body must say where it says this."""
    return {"n": value} if field == "best_of" else NEEDS.get((heading, field), {})


def numbers() -> list[tuple[str, str, str]]:
    """Every bound of a number at a body's top level: heading, field, minimum or maximum."""
    return [
        (heading, field, bound)
        for heading in SCHEMAS
        for field, schema in properties(heading).items()
        for bound in ("minimum", "maximum")
        if bound in schema
    ]


def choices() -> list[tuple[str, str, object]]:
    return [
        (heading, field, value)
        for heading in SCHEMAS
        for field, schema in properties(heading).items()
        for value in (schema.get("enum") or ([schema["const"]] if "const" in schema else []))
    ]


@pytest.mark.parametrize("heading", SCHEMAS)
def test_document_has_every_field_that_is_not_refused(heading: str):
    fields = {field for field, fate in table(heading).items() if fate != "refused"}

    assert set(properties(heading)) == fields


def test_what_the_document_says_of_requests_is_generated():
    """After a change: inv docs."""
    assert with_requests(read_document()) == read_document()


@pytest.mark.parametrize("heading", SCHEMAS)
def test_document_allows_no_other_field(heading: str):
    schema = read_document()["components"]["schemas"][SCHEMAS[heading]]

    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("heading", "field", "bound"), numbers())
def test_bounds_are_those_of_the_code(heading: str, field: str, bound: str):
    reader, body = READERS[heading]
    last = properties(heading)[field][bound]
    beyond = last + (1 if bound == "maximum" else -1)

    reader(body | needs(heading, field, last) | {field: last})
    with pytest.raises(ApiError) as caught:
        reader(body | needs(heading, field, beyond) | {field: beyond})

    assert caught.value.param in (field, *needs(heading, field, beyond))


@pytest.mark.parametrize(("heading", "field", "value"), choices())
def test_choices_are_taken(heading: str, field: str, value: object):
    reader, body = READERS[heading]
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}]} if field == "tool_choice" else {}

    reader(body | tools | {field: value})


@pytest.mark.parametrize("heading", SCHEMAS)
def test_required_fields_are_required(heading: str):
    reader, body = READERS[heading]
    required = read_document()["components"]["schemas"][SCHEMAS[heading]].get("required", [])

    for field in required:
        with pytest.raises(ApiError):
            reader({name: value for name, value in body.items() if name != field})
    reader({field: body[field] for field in required or body})


def test_document_has_every_forwarded_path_that_is_our_own():
    described = {
        (method.upper(), path) for path, methods in read_document()["paths"].items() for method in methods
    }
    forwarded = {(route.method, route.path) for route in ROUTES if route.path not in NOT_DESCRIBED}

    answered_by_the_gateway = {
        entry for entry in described if "/models" in entry[1] or entry[1].startswith(OUR_OWN)
    }

    assert described - answered_by_the_gateway == forwarded


def test_paths_are_those_of_the_tables():
    named = TABLES.read_text().split("## Paths")[1].split("\n## ")[0]
    missing = {path for path in read_document()["paths"] if f"{path}`" not in named}

    assert missing == set()

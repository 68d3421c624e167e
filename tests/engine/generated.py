"""Requests made by schemathesis from docs/openapi.json: what the document allows, and what it does not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
TEXT_MODELS = ("plain", "other", "tools", "thinker")

Case = schemathesis.Case[Any]
Operation = Any  # schemathesis' APIOperation, whose parameters are nobody's business here


def read_document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return document


def within_reach(document: dict[str, Any]) -> dict[str, Any]:
    """Narrow a document to requests that tiny models answer in no time.

    Of all texts only a few are names of models, fewer are adapters' folders, and of all numbers of tokens
    most do not fit a context: left alone, nearly every generated request would be refused for these.
    """
    narrow = copy.deepcopy(document)
    for name in ("ChatRequest", "CompletionRequest", "MessagesRequest", "ResponseRequest"):
        schema = narrow["components"]["schemas"][name]
        properties = schema["properties"]
        properties["model"] = {"enum": [*TEXT_MODELS, "nobody"]}
        del properties["adapters"]
        limits = [
            field
            for field in ("max_tokens", "max_completion_tokens", "max_output_tokens")
            if field in properties
        ]
        for field in limits:
            properties[field]["maximum"] = 8
        schema["required"] = [*schema["required"], limits[0]]
        if "n" in properties:
            properties["n"]["maximum"] = 2
    schemas = narrow["components"]["schemas"]
    for name in ("OllamaChatRequest", "OllamaGenerateRequest", "OllamaShowRequest"):
        schemas[name]["properties"]["model"] = {"enum": [*TEXT_MODELS, "nobody"]}
    for name in ("OllamaChatRequest", "OllamaGenerateRequest"):
        schemas[name]["required"] = [*schemas[name]["required"], "options"]
    schemas["OllamaOptions"]["properties"]["num_predict"] |= {"minimum": 1, "maximum": 8}
    schemas["OllamaOptions"]["required"] = ["num_predict"]
    for name in ("EmbeddingRequest", "RerankRequest", "OllamaEmbedRequest", "OllamaEmbeddingsRequest"):
        schemas[name]["properties"]["model"] = {"enum": ["embedder", "plain"]}
    return narrow


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Every path and method of a document.

    But Ollama's pull, of which each answer takes a process of its own, a log's events, which do not end, and
    forms, which pages for people answer.
    """
    left_out = ("/api/pull", "/logs/{program}/stream")
    paths = {path: item for path, item in document["paths"].items() if path not in left_out}
    for operation in (each for item in paths.values() for each in item.values()):
        operation.get("requestBody", {}).get("content", {}).pop("application/x-www-form-urlencoded", None)
    schema = schemathesis.openapi.from_dict(document | {"paths": paths})
    yield from (found.ok() for found in schema.get_all_operations() if isinstance(found, Ok))


def send_cases(
    operation: Operation, send: Callable[[Case], None], *, count: int, number: int, valid: bool
) -> None:
    """Make some requests and send each.

    Args:
        count: How many, at most: small schemas have no more.
        number: The same number makes the same requests.
        valid: Whether the document allows them.
    """
    mode = GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        send(case)

    try:
        run()
    except Unsatisfiable:
        # Of a request that is nothing but a path, the document leaves hardly anything out.
        if valid or operation.body:
            raise

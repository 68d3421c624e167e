"""The tables in docs/api.md are the code's own: every field is in both, and is what its row says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from local_ai.engine.api.anthropic.request import MessagesRequest
from local_ai.engine.api.ollama.request import (
    OllamaChatRequest,
    OllamaEmbeddingsRequest,
    OllamaEmbedRequest,
    OllamaGenerateRequest,
    OllamaShowRequest,
    read_shown,
)
from local_ai.engine.api.openai.request import ChatRequest, CompletionRequest
from local_ai.engine.api.problems import read_model, understand
from local_ai.engine.api.responses.request import ResponseRequest, read_response_request
from local_ai.engine.embeddings import EmbeddingRequest
from local_ai.engine.rerank import RerankRequest
from local_ai.serving.errors import ApiError
from local_ai.settings.schema import GenerationSettings

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"
MESSAGES = [{"role": "user", "content": "x"}]
Reader = Callable[[dict[str, Any]], object]


def defaults(_model: str | None) -> GenerationSettings:
    return GenerationSettings()


def reader(read: Callable[..., object], *more: object) -> Reader:
    return lambda body: read(json.dumps(body).encode(), *more)


# How each body is read, the least that it must hold, and the model that it is.
READERS: dict[str, tuple[Reader, dict[str, Any]]] = {
    "POST /v1/chat/completions": (reader(understand, ChatRequest, defaults), {"messages": MESSAGES}),
    "POST /v1/completions": (reader(understand, CompletionRequest, defaults), {"prompt": "x"}),
    "POST /v1/responses": (reader(read_response_request, defaults), {"input": "x"}),
    "POST /v1/rerank": (reader(read_model, RerankRequest), {"model": "m", "query": "x", "documents": ["y"]}),
    "POST /v1/embeddings": (reader(read_model, EmbeddingRequest), {"model": "m", "input": "x"}),
    "POST /anthropic/v1/messages": (reader(understand, MessagesRequest, defaults), {"messages": MESSAGES}),
    "POST /api/chat": (reader(understand, OllamaChatRequest, defaults), {"model": "m"}),
    "POST /api/generate": (reader(understand, OllamaGenerateRequest, defaults), {"model": "m"}),
    "POST /api/embed": (reader(read_model, OllamaEmbedRequest), {"model": "m", "input": "x"}),
    "POST /api/embeddings": (reader(read_model, OllamaEmbeddingsRequest), {"model": "m", "prompt": "x"}),
    "POST /api/show": (reader(read_shown), {"model": "m"}),
}
MODELS: dict[str, type[BaseModel]] = {
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


def table(heading: str) -> dict[str, str]:
    """One heading's table: field → honoured, no effect or refused."""
    section = DOCUMENT.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (honoured|no effect|refused) \|", section, re.MULTILINE))


def family_of(heading: str) -> str:
    if heading == "POST /v1/responses":
        return "Responses"
    if "/api/" in heading:
        return "Ollama"
    return "Anthropic" if "/anthropic/" in heading else "OpenAI"


def short_table() -> list[tuple[str, str]]:
    """The fields at a glance: (family and fate, field), in order."""
    rows = re.findall(
        r"^\| (\w+) \| (honoured|no effect|refused) \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE
    )
    return [
        (f"{family}: {fate}", field) for family, fate, text in rows for field in re.findall(r"`(\w+)`", text)
    ]


@pytest.mark.parametrize("heading", READERS)
def test_table_has_every_field_that_the_code_knows(heading: str):
    assert set(MODELS[heading].model_fields) == set(table(heading))


def test_fields_at_a_glance_are_every_field_once_and_say_the_same_of_it():
    fates = {
        (f"{family_of(heading)}: {fate}", field)
        for heading in READERS
        for field, fate in table(heading).items()
    }

    assert sorted(short_table()) == sorted(fates)


@pytest.mark.parametrize(
    ("heading", "field"),
    [(heading, field) for heading in READERS for field, fate in table(heading).items() if fate == "refused"],
)
def test_refused_fields_are_refused_by_name(heading: str, field: str):
    reader, body = READERS[heading]

    with pytest.raises(ApiError) as caught:
        reader(body | {field: {"some": "value"}})

    assert (caught.value.status, caught.value.param) == (400, field)


@pytest.mark.parametrize(
    ("heading", "field"),
    [(heading, field) for heading in READERS for field, fate in table(heading).items() if fate == "honoured"],
)
def test_honoured_fields_are_checked_by_name(heading: str, field: str):
    """A value no field could mean is refused: so nothing honoured is just swallowed."""
    reader, body = READERS[heading]

    with pytest.raises(ApiError) as caught:
        reader(body | {field: [[["nonsense"]]]})

    assert caught.value.status == 400
    assert (caught.value.param or "").startswith(field)


@pytest.mark.parametrize("heading", READERS)
def test_an_unknown_field_is_refused_with_the_nearest_name(heading: str):
    reader, body = READERS[heading]

    with pytest.raises(ApiError) as caught:
        reader(body | {"modle": "x"})

    assert caught.value.sentence == (
        "modle cannot be used: there is no such field here. To fix it: did you mean model?"
    )


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("temperature", 3, "temperature cannot be used: it must be from 0 to 2, got 3."),
        ("temperature", True, "temperature cannot be used: it must be a number from 0 to 2, got True."),
        ("max_tokens", 0, "max_tokens cannot be used: it must be from 1 to 1000000000000, got 0."),
        ("stop", [""], "stop cannot be used: each must have 1 to 1000 characters."),
        ("n", 17, "n cannot be used: it must be from 1 to 16, got 17."),
        ("top_logprobs", 2, "top_logprobs cannot be used: it needs logprobs."),
        ("stream_options", {"include_usage": True}, "stream_options cannot be used: it needs stream."),
        (
            "tool_choice",
            "required",
            "tool_choice cannot be used: it asks for a call, and there",
        ),
        (
            "logit_bias",
            {"a": 1},
            "logit_bias cannot be used: it must be an object whose keys are token ids",
        ),
        ("response_format", {"type": "xml"}, "response_format.type cannot be used: it must be one of text,"),
        ("store", True, "store cannot be used: nothing is stored here."),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(field: str, value: object, sentence: str):
    with pytest.raises(ApiError) as caught:
        READERS["POST /v1/chat/completions"][0]({"messages": MESSAGES, field: value})

    assert caught.value.sentence.startswith(sentence)

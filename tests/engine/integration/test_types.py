"""Every answer and each event is what the SDKs' types say, strictly: their keys, required and nullable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.engine.running import RunningEngine

pytestmark = pytest.mark.integration

ASK = [{"role": "user", "content": "What is the capital of France?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "x", "parameters": PARAMETERS}
CHATS: dict[str, dict[str, Any]] = {
    "plain": {"model": "plain"},
    "logprobs": {"model": "plain", "logprobs": True, "top_logprobs": 2},
    "call": {
        "model": "tools",
        "max_tokens": 200,
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": "required",
    },
    "thoughts": {"model": "thinker", "reasoning_effort": "low"},
}
RESPONSES: dict[str, dict[str, Any]] = {
    "plain": {"model": "plain"},
    "logprobs": {"model": "plain", "include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "call": {
        "model": "tools",
        "max_output_tokens": 200,
        "tools": [{"type": "function", "strict": True, **FUNCTION}],
        "tool_choice": "required",
    },
    "thoughts": {"model": "thinker", "reasoning": {"effort": "low"}},
}
MESSAGES: dict[str, dict[str, Any]] = {
    "plain": {"model": "plain"},
    "call": {
        "model": "tools",
        "max_tokens": 200,
        "tools": [{"name": "get_weather", "input_schema": PARAMETERS}],
        "tool_choice": {"type": "any"},
    },
    "thoughts": {"model": "thinker", "thinking": {"type": "adaptive"}},
}


def check(kind: Any, content: Any) -> None:
    """Validate as JSON comes: no number for a text, no key missing that is required."""
    TypeAdapter(kind).validate_json(json.dumps(content), strict=True)


def check_events(engine: RunningEngine, path: str, body: dict[str, Any], kind: Any) -> None:
    adapter = TypeAdapter(kind)
    for event in engine.events(path, body):
        if event.get("type") != "ping":
            adapter.validate_json(json.dumps(event), strict=True)


@pytest.mark.parametrize("case", CHATS)
def test_chats(engine: RunningEngine, case: str):
    body = {"messages": ASK, "max_tokens": 8} | CHATS[case]

    check(ChatCompletion, engine.post("/v1/chat/completions", body).json())
    streamed = body | {"stream": True, "stream_options": {"include_usage": True}}
    check_events(engine, "/v1/chat/completions", streamed, ChatCompletionChunk)


@pytest.mark.parametrize("logprobs", [None, 0, 2])
def test_completions(engine: RunningEngine, logprobs: int | None):
    body = {"prompt": "one two", "max_tokens": 8, "logprobs": logprobs}

    check(Completion, engine.post("/v1/completions", body).json())


@pytest.mark.parametrize("case", RESPONSES)
def test_responses(engine: RunningEngine, case: str):
    body = {"input": "one two", "max_output_tokens": 8} | RESPONSES[case]

    check(Response, engine.post("/v1/responses", body).json())
    check_events(engine, "/v1/responses", body, ResponseStreamEvent)


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(engine: RunningEngine, case: str):
    body = {"messages": ASK, "max_tokens": 8} | MESSAGES[case]

    check(Message, engine.post("/anthropic/v1/messages", body).json())
    check_events(engine, "/anthropic/v1/messages", body, RawMessageStreamEvent)


def test_token_counts_and_embeddings(engine: RunningEngine):
    count = {"model": "plain", "messages": ASK}
    texts = {"model": "embedder", "input": ["one", "two"]}

    check(MessageTokensCount, engine.post("/anthropic/v1/messages/count_tokens", count).json())
    check(CreateEmbeddingResponse, engine.post("/v1/embeddings", texts).json())

"""A fake engine that speaks both API families, one scripted answer per model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from tests.gateway.fakes import FakeEngine

ANSWER = (
    "The capital of France is **Paris**.\n\n```python\nprint('Paris')\n```\n\n- one\n- two\n\n"
    '<img src=x onerror="alert(1)"> [bad](javascript:alert(1)) [good](https://example.org)'
)

REUSED = 12  # tokens of every prompt but the first


class ChatEngine(FakeEngine):
    """Answers `ANSWER`; the model "endless" never ends, "crash" dies in the middle, "nope" is unknown."""

    async def _answer(self, request: Request) -> Response:
        body: dict[str, Any] = json.loads(await request.body())
        self.requests.append({"path": request.url.path, **body})
        if request.url.path == "/pin":
            self.pinned = body["model"] if body["pinned"] else None
            return JSONResponse({"pinned": body["pinned"]})
        is_anthropic = request.url.path.startswith("/anthropic")
        if body["model"] == "nope":
            return JSONResponse(_unknown_model(is_anthropic), 404)
        if body["model"] == "calls":
            events = _CALLS["anthropic" if is_anthropic else "openai"]
            return StreamingResponse(map(_event, events), 200, {"content-type": "text/event-stream"})
        pieces = self._pieces(body["model"])
        cached = 0 if len(self.requests) == 1 else REUSED
        stream = _anthropic(pieces, cached) if is_anthropic else _openai(pieces, cached)
        return StreamingResponse(stream, 200, {"content-type": "text/event-stream"})

    async def _pieces(self, model: str) -> AsyncIterator[str]:
        try:
            for word in ANSWER.split(" "):
                yield word + " "
                await asyncio.sleep(0.01)
                if model == "crash":
                    raise _CrashedOnPurpose
            while model == "endless" and not self.release.is_set():
                yield "more "
                await asyncio.sleep(0.01)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise


def _openai_call(**call: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}, "finish_reason": None}]}


def _anthropic_call(part: str) -> dict[str, Any]:
    delta = {"type": "input_json_delta", "partial_json": part}
    return {"type": "content_block_delta", "index": 1, "delta": delta}


_CALLS: dict[str, list[dict[str, Any]]] = {
    "openai": [
        _openai_call(id="call_1", type="function", function={"name": "weather", "arguments": '{"city": '}),
        _openai_call(function={"arguments": '"Paris"}'}),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    ],
    "anthropic": [
        {"type": "message_start", "message": {"usage": {"input_tokens": 3}}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
        },
        _anthropic_call('{"city": '),
        _anthropic_call('"Paris"}'),
        {"type": "message_stop"},
    ],
}


class _CrashedOnPurpose(Exception):
    """Makes the connection end in the middle of an answer."""


async def _openai(pieces: AsyncIterator[str], cached: int) -> AsyncIterator[str]:
    count = 0
    async for piece in pieces:
        count += 1
        yield _event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
    yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield _event(
        {
            "choices": [],
            "usage": {"completion_tokens": count, "prompt_tokens_details": {"cached_tokens": cached}},
        }
    )
    yield "data: [DONE]\n\n"


async def _anthropic(pieces: AsyncIterator[str], cached: int) -> AsyncIterator[str]:
    count = 0
    usage = {"input_tokens": 3, "cache_read_input_tokens": cached}
    yield _event({"type": "message_start", "message": {"usage": usage}})
    async for piece in pieces:
        count += 1
        delta = {"type": "text_delta", "text": piece}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _event(
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": count}}
    )
    yield _event({"type": "message_stop"})


def _event(value: dict[str, Any]) -> str:
    name = f"event: {value['type']}\n" if "type" in value else ""
    return f"{name}data: {json.dumps(value)}\n\n"


def _unknown_model(is_anthropic: bool) -> dict[str, Any]:
    message = 'no model named "nope". To fix it: use one of: tiny'
    if is_anthropic:
        return {"type": "error", "error": {"type": "not_found_error", "message": message}}
    return {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    }

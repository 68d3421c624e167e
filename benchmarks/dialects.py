"""A prompt asked in each dialect, whole and streamed. An answer with no end, or two, is an exception."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx

TOKENS = 24  # of an answer, at most
MODELS = ("one", "two", "three")

# Asks, and returns the answer's text.
Way = Callable[[httpx.Client, str], str]


class Broken(Exception):
    """The connection ended before the answer did: no error event, no end."""


class Cut(Exception):
    """A stream that had begun ended with an error event."""


class Innocent(Exception):
    """A refusal as a poison request: of status 422, or of a stream that had begun with comments."""


class Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text[:200]}")
        self.status = status


def _chat(http: httpx.Client, text: str) -> str:
    body = read_whole(http.post(CHAT, json=_body(text)))
    assert len(body["choices"]) == 1
    assert body["usage"]["completion_tokens"] <= TOKENS, body
    return str(body["choices"][0]["message"]["content"])


def _messages(http: httpx.Client, text: str) -> str:
    body = read_whole(http.post(MESSAGES, json=_body(text)))
    assert body["usage"]["output_tokens"] <= TOKENS, body
    return "".join(block["text"] for block in body["content"])


def _responses(http: httpx.Client, text: str) -> str:
    body = read_whole(http.post(RESPONSES, json=_responses_body(text)))
    assert body["usage"]["output_tokens"] <= TOKENS, body
    return "".join(part["text"] for item in body["output"] for part in item["content"])


def _chat_stream(http: httpx.Client, text: str) -> str:
    body = _body(text) | {"stream": True, "stream_options": {"include_usage": True}}
    events = list(_events(http, CHAT, body))
    if "[DONE]" not in events:
        raise Broken("no [DONE]")
    assert events.count("[DONE]") == 1
    parsed = [json.loads(event) for event in events if event != "[DONE]"]
    ids = {event["id"] for event in parsed}
    choices = [choice for event in parsed for choice in event["choices"]]
    ends = sum(choice["finish_reason"] is not None for choice in choices)
    assert (len(ids), ends) == (1, 1), f"ids {ids}, ends {ends}"
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def _messages_stream(http: httpx.Client, text: str) -> str:
    parsed = [json.loads(event) for event in _events(http, MESSAGES, _body(text) | {"stream": True})]
    kinds = Counter(event["type"] for event in parsed)
    if not kinds["message_stop"]:
        raise Broken("no message_stop")
    assert (kinds["message_start"], kinds["message_stop"]) == (1, 1), kinds
    return "".join(event["delta"]["text"] for event in parsed if event["type"] == "content_block_delta")


def _responses_stream(http: httpx.Client, text: str) -> str:
    parsed = [
        json.loads(event) for event in _events(http, RESPONSES, _responses_body(text) | {"stream": True})
    ]
    kinds = Counter(event["type"] for event in parsed)
    ends = kinds["response.completed"] + kinds["response.incomplete"]
    if not ends:
        raise Broken("no response.completed")
    assert (kinds["response.created"], ends) == (1, 1), kinds
    return "".join(event["delta"] for event in parsed if event["type"] == "response.output_text.delta")


CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/anthropic/v1/messages", "/v1/responses"
WAYS: tuple[tuple[str, Way], ...] = (
    (CHAT, _chat),
    (CHAT, _chat_stream),
    (MESSAGES, _messages),
    (MESSAGES, _messages_stream),
    (RESPONSES, _responses),
    (RESPONSES, _responses_stream),
)
WHOLE: dict[str, Way] = {CHAT: _chat, MESSAGES: _messages, RESPONSES: _responses}


def _model_of(text: str) -> dict[str, str]:
    """Return the field that names a prompt's model; none where the default one is asked."""
    return {"model": name} if (name := model_name(text)) else {}


def model_name(text: str) -> str:
    """Return the model that a prompt begins with ("one: …"), of `MODELS`; "" asks the default one."""
    name, colon, _ = text.partition(": ")
    return name if colon and name in MODELS else ""


def read_whole(answer: httpx.Response) -> Any:
    """Return an answer's JSON.

    Raises:
        Innocent, Refused: It is an error.
    """
    _check(answer)
    return answer.json()


def _check(answer: httpx.Response) -> None:
    if answer.status_code == 422:
        raise Innocent(answer.text)
    if answer.status_code != 200:
        raise Refused(answer.status_code, answer.text)


def _events(http: httpx.Client, path: str, body: dict[str, Any]) -> Iterator[str]:
    with http.stream("POST", path, json=body) as answer:
        if answer.status_code != 200:
            answer.read()
        _check(answer)
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            event = line.removeprefix("data: ")
            if event != "[DONE]" and _is_error(json.loads(event)):
                raise Innocent(event) if any(words in event for words in _POISON_WORDS) else Cut(event)
            yield event


# Of the two refusals with 422; an error event has no status, and not in every dialect a code.
_POISON_WORDS = ("is not sent to the engine again", "the model is not used for now")


def _is_error(event: dict[str, Any]) -> bool:
    """Return whether an event is its dialect's error."""
    return event.get("type") in {"error", "response.failed"} or "error" in event.keys() - {"type"}


def _body(text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return _model_of(text) | {"messages": messages, "max_tokens": TOKENS, "temperature": 0}


def _responses_body(text: str) -> dict[str, Any]:
    return _model_of(text) | {"input": text, "max_output_tokens": TOKENS, "temperature": 0, "store": False}

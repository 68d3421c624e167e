"""Answers in the Responses API's shapes: a whole response, and its documented events in their order.

response.created, response.in_progress, then for each item response.output_item.added, its parts and their
deltas, and response.output_item.done; at last response.completed, response.incomplete or response.failed.
Each event has a sequence_number, counted from 0.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

import copy
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from local_ai.engine.api.custom_tools import custom_input
from local_ai.engine.api.openai.response import chat_logprob
from local_ai.engine.api.responses.items import make_id
from local_ai.engine.api.responses.tools import Toolbox
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.text.conversation import Begun, CallPiece, Ended, Piece, ReasoningPiece, TextPiece, Usage
from local_ai.serving.errors import ApiError

Json = dict[str, Any]

# The kinds of parts, by the item they are in: the part's type, which its events are named after too.
_PARTS = {"message": "output_text", "reasoning": "reasoning_text"}
# What a call's item sends to its tool, in a field that its events are named after too.
_SENT = {"function_call": "arguments", "custom_tool_call": "input"}


@dataclass
class ResponseBuilder:
    """One response as it grows: each piece adds to it and makes events."""

    model: str  # as the client named it
    echo: Json  # what it repeats of the request
    toolbox: Toolbox
    words: ModelWords | None = None  # known once the model is loaded; needed for logprobs only
    with_logprobs: bool = False
    id: str = field(default_factory=lambda: f"resp_{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    output: list[Json] = field(default_factory=list)
    _status: str = "in_progress"
    _usage: Usage | None = None
    _error: Json | None = None
    _open: bool = False  # the last item still grows
    _events: int = 0

    def begin(self) -> list[Json]:
        """Announce the response."""
        return [self._lifecycle("created")]

    def add(self, piece: Piece) -> list[Json]:
        """Take a piece; return its events, in order."""
        if isinstance(piece, Begun):
            return [self._lifecycle("in_progress")]
        if isinstance(piece, TextPiece):
            return self._grow_text(piece)
        if isinstance(piece, ReasoningPiece):
            return self._grow("reasoning", piece.text, {})
        if isinstance(piece, CallPiece):
            return self._call(piece)
        if isinstance(piece, Ended):
            return self._end(piece)
        return []

    @property
    def is_over(self) -> bool:
        return self._status != "in_progress"

    def fail(self, error: ApiError) -> Json:
        """End a stream that cannot be finished."""
        self._status = "failed"
        self._error = {"code": error.code or "server_error", "message": error.sentence}
        return self._lifecycle("failed")

    def whole(self) -> Json:
        """Write the response as it is now."""
        cut = self._status == "incomplete"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": self._status,
            "background": False,
            "error": self._error,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "model": self.model,
            "output": [dict(item) for item in self.output],
            "service_tier": "default",
            "usage": _usage_body(self._usage) if self._usage else None,
            **self.echo,
        }

    def _grow_text(self, piece: TextPiece) -> list[Json]:
        logprobs = []
        if self.with_logprobs and self.words:
            logprobs = [chat_logprob(chosen, likeliest, self.words) for chosen, likeliest in piece.chances]
        if not piece.text and not logprobs:
            return []
        return self._grow("message", piece.text, {"logprobs": logprobs})

    def _grow(self, kind: str, text: str, more: Json) -> list[Json]:
        """Add text to an item of one part, which is begun where the last item is of another kind."""
        events: list[Json] = []
        if not self._open or self.output[-1]["type"] != kind:
            events = [*self._close("completed"), *self._start(_empty_item(kind))]
            part: Json = {"type": _PARTS[kind], "text": ""}
            if kind == "message":
                part |= {"annotations": [], "logprobs": []}
            self.output[-1]["content"] = [part]
            events.append(self._event("content_part.added", content_index=0, part=copy.deepcopy(part)))
        part = self.output[-1]["content"][0]
        part["text"] += text
        if "logprobs" in more:
            part["logprobs"] += more["logprobs"]
        return [*events, self._event(f"{_PARTS[kind]}.delta", content_index=0, delta=text, **more)]

    def _call(self, piece: CallPiece) -> list[Json]:
        call = piece.call
        known = self.toolbox.client_name(call.name)
        kind = "custom_tool_call" if known.is_custom else "function_call"
        field = _SENT[kind]
        item = {"id": make_id(kind), "type": kind, "status": "in_progress"}
        item |= {"call_id": call.id, "name": known.name, field: ""}
        item |= {"namespace": known.namespace} if known.namespace else {}
        events = [*self._close("completed"), *self._start(item)]
        sent = custom_input(call.arguments) if known.is_custom else call.arguments
        self.output[-1][field] = sent
        events.append(self._event(f"{kind}_{field}.delta", delta=sent))
        return [*events, *self._close("completed")]

    def _end(self, piece: Ended) -> list[Json]:
        self._usage = piece.usage
        self._status = "incomplete" if piece.reason == "length" else "completed"
        return [*self._close(self._status), self._lifecycle(self._status)]

    def _start(self, item: Json) -> list[Json]:
        self.output.append(item)
        self._open = True
        return [self._event("output_item.added", with_id=False, item=dict(item))]

    def _close(self, status: str) -> list[Json]:
        """Finish the item that grows, if any."""
        if not self._open:
            return []
        self._open = False
        item = self.output[-1]
        item["status"] = status
        if field := _SENT.get(item["type"]):
            named = {"name": item["name"]} if item["type"] == "function_call" else {}
            events = [self._event(f"{item['type']}_{field}.done", **{field: item[field]}, **named)]
        else:
            part = item["content"][0]
            said = {key: part[key] for key in ("text", "logprobs") if key in part}
            events = [
                self._event(f"{part['type']}.done", content_index=0, **said),
                self._event("content_part.done", content_index=0, part=part),
            ]
        return [*events, self._event("output_item.done", with_id=False, item=item)]

    def _event(self, kind: str, *, with_id: bool = True, **more: Any) -> Json:
        place: Json = {"output_index": len(self.output) - 1}
        if with_id:
            place["item_id"] = self.output[-1]["id"]
        return self._numbered(kind) | place | more

    def _lifecycle(self, kind: str) -> Json:
        return self._numbered(kind) | {"response": self.whole()}

    def _numbered(self, kind: str) -> Json:
        self._events += 1
        return {"type": f"response.{kind}", "sequence_number": self._events - 1}


def _empty_item(kind: str) -> Json:
    more: Json = {"role": "assistant"} if kind == "message" else {"summary": []}
    return {"id": make_id(kind), "type": kind, "status": "in_progress", "content": []} | more


def _usage_body(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.answer,
        "output_tokens_details": {"reasoning_tokens": usage.thought},
        "total_tokens": usage.prompt + usage.answer,
    }

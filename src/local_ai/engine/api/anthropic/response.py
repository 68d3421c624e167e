"""Answers in Anthropic's shapes: a whole message, and the documented events in their order.

message_start, then for each block content_block_start, content_block_delta… and content_block_stop, then
message_delta and message_stop.
"""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from local_ai.engine.text.conversation import Begun, CallPiece, Ended, Piece, ReasoningPiece, TextPiece, Usage

Json = dict[str, Any]

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_string": "stop_sequence",
    "tool_calls": "tool_use",
}
_SIGNATURE = "local"  # thoughts are not signed here, and the SDK's type wants a text


@dataclass
class MessageBuilder:
    """One answer as it grows: each piece adds to the message and makes events."""

    shows_thoughts: bool
    model: str = ""  # as the client named it; known once it is loaded
    id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex[:24]}")
    blocks: list[Json] = field(default_factory=list)
    ended: Ended | None = None
    _open: bool = False

    def add(self, piece: Piece) -> list[Json]:
        """Take a piece; return its events, in order."""
        if isinstance(piece, Begun):
            return [{"type": "message_start", "message": self._message(piece.usage, None, None)}]
        if isinstance(piece, TextPiece):
            return self._grow("text", "text", piece.text, {"type": "text", "text": ""})
        if isinstance(piece, ReasoningPiece):
            if not self.shows_thoughts:
                return []
            empty: Json = {"type": "thinking", "thinking": "", "signature": ""}
            return self._grow("thinking", "thinking", piece.text, empty)
        if isinstance(piece, CallPiece):
            return self._call(piece)
        if isinstance(piece, Ended):
            return self._end(piece)
        return []

    def whole(self) -> Json:
        """Write the complete message."""
        assert self.ended
        return self._message(self.ended.usage, _REASONS[self.ended.reason], self.ended.stop)

    def _grow(self, kind: str, key: str, text: str, empty: Json) -> list[Json]:
        events: list[Json] = []
        if not self._open or self.blocks[-1]["type"] != kind:
            events = [*self._close(), *self._start(empty)]
        self.blocks[-1][key] += text
        delta = {"type": f"{kind}_delta", key: text}
        return [*events, {"type": "content_block_delta", "index": len(self.blocks) - 1, "delta": delta}]

    def _call(self, piece: CallPiece) -> list[Json]:
        call = piece.call
        block: Json = {"type": "tool_use", "id": call.id.replace("call_", "toolu_", 1), "name": call.name}
        events = [*self._close(), *self._start(block | {"input": {}})]
        self.blocks[-1]["input"] = json.loads(call.arguments)
        delta = {"type": "input_json_delta", "partial_json": call.arguments}
        return [
            *events,
            {"type": "content_block_delta", "index": len(self.blocks) - 1, "delta": delta},
            *self._close(),
        ]

    def _end(self, piece: Ended) -> list[Json]:
        self.ended = piece
        closing = self._close()
        delta = {"stop_reason": _REASONS[piece.reason], "stop_sequence": piece.stop}
        usage = _usage_body(piece.usage)
        return [*closing, {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]

    def _start(self, block: Json) -> list[Json]:
        self.blocks.append(block)
        self._open = True
        return [{"type": "content_block_start", "index": len(self.blocks) - 1, "content_block": dict(block)}]

    def _close(self) -> list[Json]:
        if not self._open:
            return []
        self._open = False
        index = len(self.blocks) - 1
        stop: Json = {"type": "content_block_stop", "index": index}
        if self.blocks[-1]["type"] != "thinking":
            return [stop]
        self.blocks[-1]["signature"] = _SIGNATURE
        delta = {"type": "signature_delta", "signature": _SIGNATURE}
        return [{"type": "content_block_delta", "index": index, "delta": delta}, stop]

    def _message(self, usage: Usage, reason: str | None, stop: str | None) -> Json:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": list(self.blocks),
            "stop_reason": reason,
            "stop_sequence": stop,
            "usage": _usage_body(usage),
        }


def _usage_body(usage: Usage) -> Json:
    """Anthropic counts the tokens read from a cache apart from the others."""
    return {
        "input_tokens": usage.prompt - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.answer,
    }

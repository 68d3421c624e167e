"""Answers in OpenAI's shapes: whole, and chunk by chunk."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from local_ai.engine.api.openai.token_bytes import token_bytes
from local_ai.engine.core.terms import Chance
from local_ai.engine.core.tokenizer import ModelWords
from local_ai.engine.text.conversation import CallPiece, Ended, Piece, TextPiece, ThoughtPiece, Usage

Json = dict[str, Any]

_REASONS = {"stop": "stop", "stop_string": "stop", "length": "length", "tool_calls": "tool_calls"}


def usage_body(usages: list[Usage], prompts: int = 1) -> Json:
    """Add up answers; choices of one prompt share its tokens."""
    each = max(1, len(usages) // max(prompts, 1))
    prompt = sum(usage.prompt for usage in usages[::each])
    answer = sum(usage.answer for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": sum(usage.cached for usage in usages[::each])},
        "completion_tokens_details": {"reasoning_tokens": sum(usage.thought for usage in usages)},
    }


@dataclass(frozen=True)
class Heading:
    """What every chunk of one answer says of it."""

    kind: str  # chat.completion | text_completion
    model: str  # as the client named it
    id: str
    created: int

    def body(self, choices: list[Json], *, chunk: bool = False) -> Json:
        suffix = ".chunk" if chunk and self.kind == "chat.completion" else ""
        return {
            "id": self.id,
            "object": self.kind + suffix,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "local-ai",
            "choices": choices,
        }


def make_heading(kind: str, model: str) -> Heading:
    """Give a new answer its id and time."""
    prefix = "chatcmpl" if kind == "chat.completion" else "cmpl"
    return Heading(kind, model, f"{prefix}-{uuid.uuid4().hex}", int(time.time()))


@dataclass
class ChatChoice:
    """One choice of a chat answer, as it grows."""

    index: int
    words: ModelWords
    with_logprobs: bool
    text: str = ""
    thought: str = ""
    calls: list[Json] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)
    ended: Ended | None = None

    def begin(self) -> Json:
        return self._chunk({"role": "assistant", "content": ""})

    def add(self, piece: Piece) -> Json | None:
        """Take a piece; return the chunk's choice it makes, if any."""
        if isinstance(piece, TextPiece):
            self.text += piece.text
            logprobs = [chat_logprob(chosen, likeliest, self.words) for chosen, likeliest in piece.chances]
            self.logprobs += logprobs
            return self._chunk({"content": piece.text}, logprobs)
        if isinstance(piece, ThoughtPiece):
            self.thought += piece.text
            return self._chunk({"reasoning_content": piece.text})
        if isinstance(piece, CallPiece):
            function = {"name": piece.call.name, "arguments": piece.call.arguments}
            call: Json = {"id": piece.call.id, "type": "function", "function": function}
            self.calls.append(call)
            return self._chunk({"tool_calls": [{"index": len(self.calls) - 1, **call}]})
        if isinstance(piece, Ended):
            self.ended = piece
            return self._chunk({}) | {"finish_reason": _REASONS[piece.reason]}
        return None

    def whole(self) -> Json:
        assert self.ended
        content = self.text or (None if self.calls else "")
        message: Json = {"role": "assistant", "content": content, "refusal": None}
        if self.thought:
            message["reasoning_content"] = self.thought
        if self.calls:
            message["tool_calls"] = self.calls
        return {
            "index": self.index,
            "message": message,
            "logprobs": {"content": self.logprobs, "refusal": None} if self.with_logprobs else None,
            "finish_reason": _REASONS[self.ended.reason],
        }

    def _chunk(self, delta: Json, logprobs: list[Json] | None = None) -> Json:
        shown = {"content": logprobs, "refusal": None} if self.with_logprobs and logprobs else None
        return {"index": self.index, "delta": delta, "logprobs": shown, "finish_reason": None}


@dataclass
class TextChoice:
    """One choice of a plain completion, as it grows."""

    index: int
    words: ModelWords
    with_logprobs: bool
    text: str = ""
    chances: list[tuple[Chance, tuple[Chance, ...]]] = field(default_factory=list)
    ended: Ended | None = None
    _length: int = 0  # characters of the tokens whose logprobs were given out

    def begin(self) -> Json | None:
        return self._choice(self.text, [], None) if self.text else None  # the echoed prompt

    def add(self, piece: Piece) -> Json | None:
        if isinstance(piece, TextPiece):
            self.text += piece.text
            self.chances += piece.chances
            return self._choice(piece.text, list(piece.chances), None)
        if isinstance(piece, Ended):
            self.ended = piece
            return self._choice("", [], _REASONS[piece.reason])
        return None

    def whole(self) -> Json:
        assert self.ended
        self._length = 0
        return self._choice(self.text, self.chances, _REASONS[self.ended.reason])

    def _choice(
        self, text: str, chances: list[tuple[Chance, tuple[Chance, ...]]], reason: str | None
    ) -> Json:
        logprobs: Json | None = None
        if self.with_logprobs:
            offsets = []
            for chosen, _ in chances:
                offsets.append(self._length)
                self._length += len(chosen.text)
            logprobs = {
                "tokens": [chosen.text for chosen, _ in chances],
                "token_logprobs": [chosen.logprob for chosen, _ in chances],
                "top_logprobs": [{c.text: c.logprob for c in likeliest} for _, likeliest in chances],
                "text_offset": offsets,
            }
        return {"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": reason}


def chat_logprob(chosen: Chance, likeliest: tuple[Chance, ...], words: ModelWords) -> Json:
    """Write a token of an answer's text with those that might have stood in its place."""
    return _token_body(chosen, words) | {"top_logprobs": [_token_body(chance, words) for chance in likeliest]}


def _token_body(chance: Chance, words: ModelWords) -> Json:
    return {"token": chance.text, "logprob": chance.logprob, "bytes": token_bytes(chance, words)}

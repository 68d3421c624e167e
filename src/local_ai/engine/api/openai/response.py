"""Answers in OpenAI's shapes: whole, and chunk by chunk."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from local_ai.engine.api.custom_tools import custom_input
from local_ai.engine.api.openai.token_bytes import token_bytes
from local_ai.engine.core.job import TokenLogprob
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.text.conversation import Call, CallPiece, Ended, Piece, ReasoningPiece, TextPiece, Usage

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


def make_heading(kind: str, model: str) -> Json:
    """Write what each chunk of a new answer repeats.

    Args:
        kind: chat.completion or text_completion.
        model: As the client named it.
    """
    prefix = "chatcmpl" if kind == "chat.completion" else "cmpl"
    about = {"created": int(time.time()), "model": model, "system_fingerprint": "local-ai"}
    return {"id": f"{prefix}-{uuid.uuid4().hex}", "object": kind} | about


@dataclass
class ChatChoice:
    """One choice of a chat answer, as it grows."""

    index: int
    words: ModelWords
    with_logprobs: bool
    custom: frozenset[str] = frozenset()  # the tools that are called with free text
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
        if isinstance(piece, ReasoningPiece):
            self.thought += piece.text
            return self._chunk({"reasoning_content": piece.text})
        if isinstance(piece, CallPiece):
            call = self._call(piece.call)
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

    def _call(self, call: Call) -> Json:
        if call.name in self.custom:
            custom = {"name": call.name, "input": custom_input(call.arguments)}
            return {"id": call.id, "type": "custom", "custom": custom}
        function = {"name": call.name, "arguments": call.arguments}
        return {"id": call.id, "type": "function", "function": function}

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
    tokens: list[_LoggedToken] = field(default_factory=list)
    ended: Ended | None = None

    def begin(self) -> Json | None:
        return self._choice(self.text, [], None) if self.text else None  # the echoed prompt

    def add(self, piece: Piece) -> Json | None:
        if isinstance(piece, TextPiece):
            self.text += piece.text
            tokens = [
                _LoggedToken(at, chosen, likeliest)
                for at, (chosen, likeliest) in zip(piece.offsets, piece.chances, strict=True)
            ]
            self.tokens += tokens
            return self._choice(piece.text, tokens, None)
        if isinstance(piece, Ended):
            self.ended = piece
            return self._choice("", [], _REASONS[piece.reason])
        return None

    def whole(self) -> Json:
        assert self.ended
        return self._choice(self.text, self.tokens, _REASONS[self.ended.reason])

    def _choice(self, text: str, tokens: list[_LoggedToken], reason: str | None) -> Json:
        logprobs: Json | None = None
        if self.with_logprobs:
            logprobs = {
                "tokens": [_spell(token.chosen, self.words) for token in tokens],
                "token_logprobs": [token.chosen.logprob for token in tokens],
                "top_logprobs": [token.alternatives(self.words) for token in tokens],
                "text_offset": [token.at for token in tokens],
            }
        return {"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": reason}


@dataclass(frozen=True)
class _LoggedToken:
    """A token of a plain completion, and where in its text it begins."""

    at: int
    chosen: TokenLogprob
    likeliest: tuple[TokenLogprob, ...]

    def alternatives(self, words: ModelWords) -> dict[str, float]:
        """List the likeliest tokens, and the chosen one, each by a spelling of its own.

        Source: OpenAI's completions always list the chosen one too. Tokens that look alike are told apart by
        their number, as vLLM spells tokens (return_tokens_as_token_ids).
        """
        found: dict[str, float] = {}
        known: set[int] = set()
        for chance in (self.chosen, *self.likeliest):
            if chance.token not in known:
                spelling = _spell(chance, words)
                found[f"token_id:{chance.token}" if spelling in found else spelling] = chance.logprob
                known.add(chance.token)
        return dict(sorted(found.items(), key=lambda entry: -entry[1]))


def _spell(chance: TokenLogprob, words: ModelWords) -> str:
    """Spell a token; a part of a character by its bytes, as OpenAI's completions do."""
    if "\ufffd" not in chance.text:
        return chance.text
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token_bytes(chance, words))


def chat_logprob(chosen: TokenLogprob, likeliest: tuple[TokenLogprob, ...], words: ModelWords) -> Json:
    """Write a token of an answer's text with those that might have stood in its place."""
    return _token_body(chosen, words) | {"top_logprobs": [_token_body(chance, words) for chance in likeliest]}


def _token_body(chance: TokenLogprob, words: ModelWords) -> Json:
    return {"token": chance.text, "logprob": chance.logprob, "bytes": token_bytes(chance, words)}

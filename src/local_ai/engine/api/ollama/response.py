"""Answers in Ollama's shapes: whole, and line by line."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local_ai.engine.api.openai.response import chat_logprob
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.embeddings import Embedded
from local_ai.engine.formats.folder import read_format, read_template
from local_ai.engine.text.conversation import (
    Begun,
    CallPiece,
    Ended,
    Piece,
    Reading,
    ReasoningPiece,
    TextPiece,
)
from local_ai.models.catalog import Model
from local_ai.models.ollama import details, written

Json = dict[str, Any]

_REASONS = {"stop": "stop", "stop_string": "stop", "length": "length", "tool_calls": "stop"}


def now() -> str:
    """Write the time as Ollama does."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class AnswerBuilder:
    """One answer as it grows: each piece adds to it and makes a line."""

    model: str  # as the client named it
    is_chat: bool
    began_ns: int  # time.perf_counter_ns
    words: ModelWords | None = None
    with_logprobs: bool = False
    text: str = ""
    thought: str = ""
    calls: list[Json] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)
    ended: Ended | None = None
    _opened_ns: int = 0  # the model is loaded and the prompt written
    _first_ns: int = 0  # something is said

    def add(self, piece: Piece) -> Json | None:
        """Take a piece; return the line it makes, if any."""
        if isinstance(piece, Begun | Reading):
            self._opened_ns = self._opened_ns or time.perf_counter_ns()
            return None
        self._first_ns = self._first_ns or time.perf_counter_ns()
        if isinstance(piece, TextPiece):
            self.text += piece.text
            assert self.words
            logged = [chat_logprob(chosen, likeliest, self.words) for chosen, likeliest in piece.chances]
            self.logprobs += logged
            return self._line(piece.text) | ({"logprobs": logged} if self.with_logprobs else {})
        if isinstance(piece, ReasoningPiece):
            self.thought += piece.text
            return self._line("", thought=piece.text)
        if isinstance(piece, CallPiece):
            arguments = json.loads(piece.call.arguments)
            function = {"index": len(self.calls), "name": piece.call.name, "arguments": arguments}
            call = {"id": piece.call.id, "function": function}
            self.calls.append(call)
            return self._line("", calls=[call])
        self.ended = piece
        return self._line("") | self._end(piece)

    def whole(self) -> Json:
        """Write the complete answer."""
        assert self.ended
        answer = self._line(self.text, thought=self.thought, calls=self.calls)
        return answer | self._end(self.ended) | ({"logprobs": self.logprobs} if self.with_logprobs else {})

    def empty(self, reason: str) -> Json:
        """Write the answer to a request that only loads or unloads a model."""
        return self._line("") | {"done": True, "done_reason": reason}

    def _line(self, text: str, *, thought: str = "", calls: list[Json] | None = None) -> Json:
        more: Json = {"thinking": thought} if thought else {}
        if calls:
            more["tool_calls"] = calls
        said = (
            {"message": {"role": "assistant", "content": text} | more}
            if self.is_chat
            else {"response": text} | more
        )
        return {"model": self.model, "created_at": now()} | said | {"done": False}

    def _end(self, ended: Ended) -> Json:
        end = time.perf_counter_ns()
        opened, first = self._opened_ns or end, self._first_ns or end
        return {
            "done": True,
            "done_reason": _REASONS[ended.reason],
            "total_duration": end - self.began_ns,
            "load_duration": opened - self.began_ns,
            "prompt_eval_count": ended.usage.prompt,
            "prompt_eval_duration": first - opened,
            "eval_count": ended.usage.answer,
            "eval_duration": end - first,
        }


def embed_body(model: str, embedded: Embedded, began_ns: int) -> Json:
    """Write the answer of /api/embed."""
    return {
        "model": model,
        "embeddings": [list(vector) for vector in embedded.vectors],
        "total_duration": time.perf_counter_ns() - began_ns,
        "load_duration": 0,
        "prompt_eval_count": embedded.tokens,
    }


def show_body(model: Model) -> Json:
    """Write the answer of /api/show from the model's folder; nothing is loaded."""
    form = read_format(model.path)
    can = ["completion"] if model.generates_text else ["embedding"]
    if model.generates_text and form.knows_tools:
        can.append("tools")
    if model.generates_text and (form.thought or form.channels):
        can.append("thinking")
    if model.sees:
        can.append("vision")
    family = model.family or "unknown"
    about: Json = {"general.architecture": family, "general.basename": model.id}
    if model.context_tokens:
        about[f"{family}.context_length"] = model.context_tokens
    return {
        "modelfile": f"FROM {model.id}",
        "parameters": "",
        "template": read_template(model.path),
        "details": details(model),
        "model_info": about,
        "capabilities": can,
        "modified_at": written(model.created),
    }

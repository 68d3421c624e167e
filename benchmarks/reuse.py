"""Tokens of a prompt that need no reading: ours beside mlx_lm.server, on the same tiny models, in one run.

The models are made on the spot, one of each class of cache; they answer nonsense. `benchmarks/conversation.py
--reuse` prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.engine.running import running_engine
from tests.tiny_families import make_tiny_family

from benchmarks.servers import mlx_lm_server

FAMILIES = ("qwen3_next", "gemma3_text", "qwen3_5", "llama")
_RULES = "".join(f"Rule {n}: the red fox number {n} jumps over the lazy dog. " for n in range(20))
_SHOWN = "The capital of France is Paris."  # where an answer has no text to be sent back
_HEADER = "x-anthropic-billing-header: cc_version=2.1.42; cch={};"
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
_TOOLS = [
    {"type": "function", "function": {"name": name, "description": "Looks it up.", "parameters": _PARAMETERS}}
    for name in ("get_weather", "get-time", "maps.find")
]
_SITUATIONS: dict[str, tuple[dict[str, Any], bool]] = {  # what is sent beside, and whether it opens a thought
    "": ({}, False),
    ", with tools": ({"tools": _TOOLS}, False),
    ", template opens <think>": ({"chat_template_kwargs": {"enable_thinking": True}}, True),
    ", tools and <think>": ({"tools": _TOOLS, "chat_template_kwargs": {"enable_thinking": True}}, True),
}


@dataclass(frozen=True)
class Reuse:
    """One prompt that both have been sent, after another that begins as it does."""

    situation: str
    family: str
    prompt: int  # tokens
    ours: int  # of them, remembered
    mlx_lm: int | None  # None: it has not this API


@dataclass(frozen=True)
class _Asked:
    client: httpx.Client
    model: str

    def chat(self, messages: list[dict[str, Any]], more: dict[str, Any]) -> tuple[str, int, int]:
        """Return the answer's text, and the prompt's tokens, whole and remembered."""
        body = {"model": self.model, "messages": messages, "max_tokens": 12, "temperature": 0} | more
        answer = self.client.post("/v1/chat/completions", json=body).raise_for_status().json()
        usage = answer["usage"]
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return answer["choices"][0]["message"].get("content") or "", usage["prompt_tokens"], cached

    def turns(self, name: str, more: dict[str, Any]) -> Iterator[tuple[int, int]]:
        """Hold three turns; yield a prompt's tokens of a new conversation and of its next turn."""
        system = {"role": "system", "content": f"Conversation{name}. {_RULES}"}
        self.chat([system, _user("What is the capital of France?")], more)
        begun = [system, _user("one two three four?")]
        text, *new = self.chat(begun, more)
        yield new[0], new[1]
        shown = {"role": "assistant", "content": text or _SHOWN}
        _, *later = self.chat([*begun, shown, _user("And of the lazy dog?")], more)
        yield later[0], later[1]


def measure() -> Iterator[Reuse]:
    """Run both servers; yield one row per situation and family, family by family."""
    with ExitStack() as stack:
        engine = stack.enter_context(running_engine(_make_models, {"model": {"path": _name(FAMILIES[0])}}))
        ours = stack.enter_context(engine.client)
        folder = engine.paths.models_dir
        peer = stack.enter_context(mlx_lm_server(folder / _name(FAMILIES[0])))
        for family in FAMILIES:
            for name, (more, thinks) in _SITUATIONS.items():
                model = _name(family, thinks=thinks)
                both = zip(
                    _Asked(ours, model).turns(name, more),
                    _Asked(peer, str(folder / model)).turns(name, more),
                    strict=True,
                )
                for what, (mine, theirs) in zip(("new conversation", "next turn"), both, strict=True):
                    yield Reuse(what + name, family, mine[0], mine[1], theirs[1])
            yield _with_header(ours, family)


def _with_header(client: httpx.Client, family: str) -> Reuse:
    """Ask as Claude Code does when it is started by itself: the system text begins with what changes."""
    for number in range(2):
        texts = (_HEADER.format(f"{number}e1f2"), f"You help. {_RULES}")
        body = {
            "model": _name(family),
            "max_tokens": 12,
            "temperature": 0,
            "system": [{"type": "text", "text": text} for text in texts],
            "messages": [_user(f"What is number {number}?")],
        }
        usage = client.post("/anthropic/v1/messages", json=body).raise_for_status().json()["usage"]
    cached = int(usage["cache_read_input_tokens"])
    prompt = int(usage["input_tokens"]) + cached
    return Reuse("new conversation, Claude Code's changing header", family, prompt, cached, None)


def as_table(rows: list[Reuse]) -> str:
    """Write the rows as a Markdown table, situation by situation."""
    lines = ["| situation | model | prompt | ours | mlx_lm.server |", "|---|---|---|---|---|"]
    last = ""
    for row in sorted(rows, key=_place):
        theirs = "–" if row.mlx_lm is None else row.mlx_lm
        shown = "" if row.situation == last else row.situation.replace("<think>", "`<think>`")
        lines.append(f"| {shown} | {row.family} | {row.prompt} | {row.ours} | {theirs} |")
        last = row.situation
    return "\n".join(lines)


def _place(row: Reuse) -> tuple[int, int]:
    known = [what + name for name in _SITUATIONS for what in ("new conversation", "next turn")]
    at = known.index(row.situation) if row.situation in known else len(known)
    return at, FAMILIES.index(row.family)


def _make_models(folder: Path) -> None:
    for family in FAMILIES:
        for thinks in (False, True):
            make_tiny_family(
                folder / _name(family, thinks=thinks), family, tools=True, thinking=thinks, endless=True
            )


def _name(family: str, *, thinks: bool = False) -> str:
    return f"{family}-thinks" if thinks else family


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}

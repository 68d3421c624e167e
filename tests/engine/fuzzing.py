# ruff: noqa: E501, T201
"""Odd requests by the thousand: python -m tests.engine.fuzzing --minutes 30.

Bodies begin valid and have fields replaced, nested and broken; some are raw bytes. The engine must answer each
in time with a status a client can understand, never 500, and keep its memory.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
from tests.engine.conftest import fill_with_tiny_models
from tests.engine.running import RunningEngine, running_engine

USER = {"role": "user", "content": "What is the capital of France?"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [USER], "max_tokens": 4},
    "/v1/completions": {"prompt": "one two", "max_tokens": 4},
    "/v1/embeddings": {"model": "embedder", "input": "one"},
    "/anthropic/v1/messages": {"messages": [USER], "max_tokens": 4},
    "/anthropic/v1/messages/count_tokens": {"messages": [USER]},
}
SHARED = (
    "model stream temperature top_p top_k min_p max_tokens seed logit_bias presence_penalty frequency_penalty "
    "repetition_penalty adapters metadata nonsense"
)
OPENAI = f"{SHARED} stream_options max_completion_tokens stop n logprobs"
ANTHROPIC = (
    f"{SHARED} messages system tools tool_choice stop_sequences thinking output_config context_management"
)
FIELDS = {
    "/v1/chat/completions": f"{OPENAI} messages top_logprobs response_format tools tool_choice parallel_tool_calls "
    "reasoning_effort chat_template_kwargs modalities",
    "/v1/completions": f"{OPENAI} prompt echo best_of",
    "/v1/embeddings": "model input dimensions encoding_format user",
    "/anthropic/v1/messages": ANTHROPIC,
    "/anthropic/v1/messages/count_tokens": ANTHROPIC,
}
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, -1, 0.5, 1.5, 10**30, -(10**30), 1e308, "", "x", "plain", "tools", "thinker", "nobody",
    "\x00", "\U0001f600" * 9, "a" * 3000, "[/INST] [b]", "{{ 7 * 7 }}", "<|im_end|>", "../../etc/passwd", "~nobody/x", [], {}, [None],
    ["a"], ["a", 1], [[[]]], {"type": "json_object"}, {"type": "enabled", "budget_tokens": 3}, {"include_usage": True},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strange"}}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "maxLength": 3}}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "(a+)+$"}}},
    [USER], [USER, {"role": "assistant", "content": "And"}], [{"role": "tool", "tool_call_id": "x", "content": "y"}],
    [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}],
    [{"role": "user", "content": [{"type": "text", "text": "x"}]}], [{"role": "system", "content": "only"}],
    [USER] * 50, [TOOL], [{"name": "f", "input_schema": {"type": "object"}}], "required", "auto", "none",
    {"type": "any"}, {"type": "function", "function": {"name": "f"}}, {"70": 5}, {"x": 1}, {"99999999": 1}, 70,
    [70, 71], ["one", "two"], {"enable_thinking": True}, {"tokenize": True}, {"add_special_tokens": 1},
)  # fmt: skip
EXPECTED = {200, 400, 404, 405, 413, 422, 429, 503}


@dataclass
class Findings:
    """What a run saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


def odd_request(luck: random.Random) -> tuple[str, bytes]:
    """Make one request: a path and a body."""
    path = luck.choice(list(BODIES))
    body = dict(BODIES[path])
    for _ in range(luck.randint(0, 4)):
        body[luck.choice(FIELDS[path].split())] = luck.choice(VALUES)
    if luck.random() < 0.3:
        body["stream"] = True
    content = json.dumps(body).encode()
    if luck.random() < 0.1:
        cut = luck.randrange(len(content))
        content = content[:cut] + luck.randbytes(luck.randint(0, 9)) + content[cut + luck.randint(0, 9) :]
    return path, content


def fuzz(engine: RunningEngine, luck: random.Random, *, count: int | None, seconds: float | None) -> Findings:
    """Send odd requests until there were enough."""
    findings = Findings()
    deadline = time.monotonic() + seconds if seconds else None
    with engine.client as client:
        while count is None or sum(findings.statuses.values()) < count:
            if deadline and time.monotonic() > deadline:
                break
            path, content = odd_request(luck)
            before = time.monotonic()
            try:
                answer = client.post(path, content=content)
            except httpx.HTTPError as exc:
                findings.wrong.append(f"{path} {content[:500]!r}: {exc!r}")
                continue
            findings.slowest_s = max(findings.slowest_s, time.monotonic() - before)
            findings.statuses[answer.status_code] += 1
            if (
                answer.status_code not in EXPECTED
                or '"internal_error"' in answer.text
                or "cut off" in answer.text
            ):
                findings.wrong.append(f"{path} {content[:500]!r}: {answer.status_code} {answer.text[:300]}")
    return findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with running_engine(fill_with_tiny_models, {"model": {"path": "plain"}}) as engine:
        process = psutil.Process(engine.process.pid)
        luck = random.Random(options.seed)
        fuzz(engine, luck, count=300, seconds=None)
        before = process.memory_info().rss
        findings = fuzz(engine, luck, count=None, seconds=options.minutes * 60)
        grown = process.memory_info().rss - before
    print(dict(findings.statuses), f"slowest {findings.slowest_s:.1f} s, memory {grown / 1e6:+.0f} MB")
    print("\n".join(findings.wrong[:20]) or "nothing wrong")


if __name__ == "__main__":
    main()

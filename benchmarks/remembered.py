"""A long conversation after its engine has ended: time to the first word, with the disk cache on and off.

    uv run python benchmarks/remembered.py [--family llama] [--lines 138]

On a tiny random model, so the seconds are those of two small programs: read the tokens and the ratios. In the
same run, `mlx_lm.server` gets the same conversation, warm and after a restart; it keeps nothing on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.server import Server, end, free_port
from tests.tiny_families import make_tiny_family

from benchmarks.servers import mlx_lm_server
from local_ai.supervision.program import ENGINE

_LINE = "Chapter {n}: the river {n} joins the sea near the town of number {n}, where boats wait. "


@dataclass(frozen=True)
class Row:
    """One turn."""

    subject: str
    situation: str
    first_s: float  # until the first word
    prompt: int  # tokens
    cached: int  # of them, not read
    written: int | None  # bytes on disk since the turn before; None: it keeps none


class Talk:
    """A conversation that grows turn by turn."""

    def __init__(self, client: httpx.Client, model: str, lines: int) -> None:
        self._client = client
        self._model = model
        self._messages = [{"role": "user", "content": "".join(_LINE.format(n=n) for n in range(lines))}]

    def turn(self) -> tuple[float, int, int]:
        """Ask for one answer; return the seconds to its first word, the prompt's tokens, those not read."""
        body = {
            "model": self._model,
            "messages": self._messages,
            "max_tokens": 8,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        began, first, text = time.perf_counter(), 0.0, ""
        usage: dict[str, Any] = {}
        with self._client.stream("POST", "/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if not line.startswith("data: {"):
                    continue
                event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    if word := choice["delta"].get("content"):
                        first = first or time.perf_counter() - began
                        text += word
        self._messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return first or time.perf_counter() - began, usage["prompt_tokens"], cached


def _kill(server: Server) -> None:
    os.kill(server.pid_of(ENGINE), signal.SIGKILL)
    server.run("start")  # waits until it is ready again


def _restart(server: Server) -> None:
    server.run("restart")


def _unload(server: Server) -> None:
    server.run("models", "unload")


_ENDS: dict[str, Callable[[Server], None]] = {
    "first turn": lambda _server: None,
    "next turn, warm": lambda _server: None,
    "after a restart": _restart,
    "after kill -9": _kill,
    "after an unload": _unload,
}


def ours(family: str, lines: int, *, disk: str) -> Iterator[Row]:
    """Hold the conversation with our server."""
    with tempfile.TemporaryDirectory() as home:
        server = Server(Path(home), free_port(), {"LOCAL_AI_CACHE__DISK": disk})
        make_tiny_family(server.paths.models_dir / family, family, endless=True, context_tokens=20_000)
        try:
            server.start("--model", family)
            with httpx.Client(base_url=server.url, timeout=600, trust_env=False) as client:
                talk, before = Talk(client, family, lines), 0
                for situation, ends in _ENDS.items():
                    ends(server)
                    first, prompt, cached = talk.turn()
                    time.sleep(1.0)  # for what is written after the answer
                    written = json.loads(server.run("cache", "show", "--json").stdout)["written_bytes"]
                    name = "local-ai" if disk != "0" else "local-ai, cache.disk = 0"
                    yield Row(
                        name, situation, first, prompt, cached, written - before if disk != "0" else None
                    )
                    before = written
        finally:
            end(server)


def theirs(family: str, lines: int) -> Iterator[Row]:
    """Hold it with mlx_lm.server."""
    with tempfile.TemporaryDirectory() as home:
        folder = make_tiny_family(Path(home) / family, family, endless=True, context_tokens=20_000)
        talk = Talk(httpx.Client(), str(folder), lines)
        for situations in (("first turn", "next turn, warm"), ("after a restart",)):
            with mlx_lm_server(folder) as client:
                talk._client = client
                for situation in situations:
                    yield Row("mlx_lm.server", situation, *talk.turn(), None)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--family", default="llama", help="class of the tiny model")
    parser.add_argument("--lines", type=int, default=138, help="lines of text the conversation begins with")
    options = parser.parse_args()
    print(
        "| server | situation | first word, s | prompt | not read | written, MB |\n|---|---|---|---|---|---|"
    )
    for rows in (
        ours(options.family, options.lines, disk="1"),
        ours(options.family, options.lines, disk="0"),
        theirs(options.family, options.lines),
    ):
        for row in rows:
            written = "–" if row.written is None else f"{row.written / 1e6:.1f}"
            figures = f"{row.first_s:.2f} | {row.prompt} | {row.cached} | {written}"
            print(f"| {row.subject} | {row.situation} | {figures} |", flush=True)


if __name__ == "__main__":
    main()

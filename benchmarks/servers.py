"""Servers that hold the same model at the same time: ours by gateway and by engine, and mlx_lm.server."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.blas import preloadable_blas
from benchmarks.clock import answers, clean_environment, free_port, say, script, wait
from benchmarks.options import Options
from benchmarks.ours import Ours, make_ours, running, starter_model

MLX_LM = "mlx_lm.server"
ENGINE_ALONE = "engine alone"
GATEWAY = "local-ai"
_TIMEOUT_S = 600.0
_TRIES = 5


@dataclass(frozen=True)
class Server:
    """Somewhere to ask, in one API's words."""

    name: str
    client: httpx.Client
    model: str
    path: str  # of the chat
    lost: list[str] = field(default_factory=list)  # why requests had to be sent again

    def chat(self, text: str, max_tokens: int) -> int:
        """Ask for a whole answer; return its tokens as the server counts them."""
        usage = self._post(self._body(text, max_tokens)).json()["usage"]
        return int(usage.get("completion_tokens") or usage["output_tokens"])

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        """Post, again where the server drops the connection: many at once are too many for some."""
        for _ in range(_TRIES - 1):
            try:
                return self.client.post(self.path, json=body).raise_for_status()
            except httpx.TransportError as exc:
                self.lost.append(str(exc))
        return self.client.post(self.path, json=body).raise_for_status()

    def first_token_s(self, text: str, max_tokens: int = 4) -> float:
        """Return how long a stream takes until the first text comes, in seconds.

        The rest is waited for: two servers that compute at once slow each other down many times over.
        """
        began = time.perf_counter()
        with self.stream(text, max_tokens) as lines:
            next(lines, None)  # without text, the end of the answer is what is waited for
            took = time.perf_counter() - began
            for _ in lines:
                pass
        return took

    @contextmanager
    def stream(self, text: str, max_tokens: int) -> Iterator[Iterator[str]]:
        """Stream an answer; give out its pieces of text. Leaving ends the answer."""
        body = {**self._body(text, max_tokens), "stream": True}
        with self.client.stream("POST", self.path, json=body) as answer:
            answer.raise_for_status()
            yield (piece for line in answer.iter_lines() if (piece := _text_in(line)))

    def _body(self, text: str, max_tokens: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {"model": self.model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}


def _text_in(line: str) -> str:
    """Return the text that a line of either API's stream brings, "" for none."""
    data = line.removeprefix("data: ")
    if data == line or data == "[DONE]":
        return ""
    event = json.loads(data)
    delta = (event["choices"][0] if event.get("choices") else event).get("delta") or {}
    return str(delta.get("content") or delta.get("text") or "")


@contextmanager
def servers(options: Options) -> Iterator[tuple[list[Server], Ours]]:
    """Run all of them on the starter model: mlx_lm.server first, then OpenAI's API, then Anthropic's."""
    model = starter_model()
    with ExitStack() as stack:
        say(f"starting {MLX_LM} and {GATEWAY}")
        peer = stack.enter_context(mlx_lm_server(model))
        ours = stack.enter_context(running(make_ours(options.folder / "served", free_port(), model)))
        transport = httpx.HTTPTransport(uds=str(ours.paths.engine_socket))
        # As many connections as clients, so that none waits for another's.
        engine = stack.enter_context(
            httpx.Client(transport=transport, base_url="http://engine", timeout=_TIMEOUT_S)
        )
        gateway = stack.enter_context(httpx.Client(base_url=ours.url, timeout=_TIMEOUT_S))
        openai, anthropic = "/v1/chat/completions", "/anthropic/v1/messages"
        asked = [
            Server(MLX_LM, peer, str(model), openai),
            Server(ENGINE_ALONE, engine, model.name, openai),
            Server(GATEWAY, gateway, model.name, openai),
            Server(f"{ENGINE_ALONE}, Anthropic API", engine, model.name, anthropic),
            Server(f"{GATEWAY}, Anthropic API", gateway, model.name, anthropic),
        ]
        for server in asked:
            server.chat("hello", 1)
        yield asked, ours


@contextmanager
def mlx_lm_server(model: Path) -> Iterator[httpx.Client]:
    """Run mlx_lm.server with the BLAS that ours would load; give out a client of it."""
    port = free_port()
    environ = clean_environment(model.parent) | preloadable_blas(model.parent)
    words = [script("python"), "-m", "mlx_lm", "server", "--model", str(model), "--port", str(port)]
    process = subprocess.Popen(
        [*words, "--log-level", "ERROR"],
        env=environ | {"HF_HUB_OFFLINE": "1", "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait(lambda: answers(port, "/v1/models"))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_TIMEOUT_S) as client:
            yield client
    finally:
        process.kill()
        process.wait()

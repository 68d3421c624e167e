"""Pin, unload, remove and forget at random, as several people at one server would."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import httpx
from tests.server import Server
from tests.tiny_model import make_tiny_embedder, make_tiny_model
from tests.waits import scaled

from local_ai.errors import LocalAIError
from local_ai.lifecycle.memory import pin_model, unload_model
from local_ai.models.prompt_files import clear_prompts, list_prompts, prompts_dir

_PAUSE_BETWEEN_S = (0.5, 4.0)
_PINNED_S = (1.0, 10.0)
_LEAVES, _EMBEDDER = "leaves", "embedder"


class Meddler:
    """Does one thing at a time, to a server with several models of which not all fit."""

    def __init__(
        self, server: Server, models: tuple[str, ...], seed: int, note: Callable[[str], None]
    ) -> None:
        """Prepare.

        Args:
            models: Names of those that clients ask.
            seed: Of the choices and the waits.
            note: Is told each thing as it is done.
        """
        self.wrong: list[str] = []
        self._server = server
        self._socket = server.paths.engine_socket
        self._models = models
        self._random = random.Random(seed)
        self._note = note
        self._vector: list[float] = []
        make_tiny_embedder(server.paths.models_dir / _EMBEDDER)

    def run(self, stop: threading.Event) -> None:
        """Meddle until it is told to stop; nothing is pinned at the end."""
        deeds = (
            self._pin,
            self._unload,
            self._unload_all,
            self._keep_no_longer,
            self._embed,
            self._embed,
            self._forget_prompts,
            self._remove,
        )
        left: list[Callable[[threading.Event], None]] = []
        while not stop.wait(self._random.uniform(*_PAUSE_BETWEEN_S)):
            left = left or self._random.sample(deeds, len(deeds))
            deed = left.pop()
            name = deed.__name__.strip("_").replace("_", " ")
            try:
                deed(stop)
            except (LocalAIError, httpx.TransportError) as exc:  # its engine or gateway is killed just then
                self._note(f"meddling: {name}: {type(exc).__name__}")
            else:
                self._note(f"meddling: {name}")

    def _some(self) -> str:
        return self._random.choice(self._models)

    def _pin(self, stop: threading.Event) -> None:
        name = self._some()
        pin_model(self._socket, name, pinned=True)
        stop.wait(self._random.uniform(*_PINNED_S))
        pin_model(self._socket, name, pinned=False)

    def _unload(self, _stop: threading.Event) -> None:
        unload_model(self._socket, self._some(), on_wait=lambda _: None)

    def _unload_all(self, _stop: threading.Event) -> None:
        unload_model(self._socket, on_wait=lambda _: None)

    def _keep_no_longer(self, _stop: threading.Event) -> None:
        body = {"model": self._some(), "prompt": "", "keep_alive": 0, "stream": False}
        answer = self._post("/api/generate", body)
        if answer.status_code == 200 and answer.json()["done_reason"] != "unload":
            self.wrong.append(f"keep_alive 0: {answer.text[:200]}")

    def _embed(self, _stop: threading.Event) -> None:
        answer = self._post("/v1/embeddings", {"model": _EMBEDDER, "input": "the quick brown fox"})
        if answer.status_code != 200:
            return
        vector = answer.json()["data"][0]["embedding"]
        self._vector = self._vector or vector
        if max(abs(a - b) for a, b in zip(vector, self._vector, strict=True)) > 1e-4:
            self.wrong.append("another vector of the same text")

    def _forget_prompts(self, _stop: threading.Event) -> None:
        clear_prompts(list_prompts(prompts_dir(self._server.paths)))

    def _remove(self, _stop: threading.Event) -> None:
        """Remove a model that was asked; where a killed engine is why it cannot be, the next time."""
        make_tiny_model(self._server.paths.models_dir / _LEAVES, seed=9)
        body = {"model": _LEAVES, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
        self._post("/v1/chat/completions", body)
        unload_model(self._socket, _LEAVES, on_wait=lambda _: None)
        done = self._server.run("models", "remove", _LEAVES, "--yes")
        if done.returncode != 0 and "loaded" not in done.stderr:
            self.wrong.append(f"models.remove: {done.stderr}")

    def _post(self, path: str, body: object) -> httpx.Response:
        return httpx.post(self._server.url + path, json=body, timeout=scaled(120))

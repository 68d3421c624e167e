"""Real engine processes for tests and benchmarks: their own folders, gone afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import openai
from tests.waits import NO_TLS, scaled

from local_ai.settings.paths import Paths, find_paths
from local_ai.settings.schema import LocalAISettings
from local_ai.settings.state import make_state, write_state


@dataclass(frozen=True)
class RunningEngine:
    """An engine process and ways to talk to it."""

    process: subprocess.Popen[bytes]
    paths: Paths
    log_file: Path

    @property
    def client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.paths.engine_socket), verify=NO_TLS)
        return httpx.Client(transport=transport, base_url="http://engine", timeout=scaled(120))

    @property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(
            base_url="http://engine/v1", api_key="none", http_client=self._sdk_client, max_retries=0
        )

    @property
    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(
            base_url="http://engine/anthropic",
            api_key="none",
            http_client=self._sdk_client,
            max_retries=0,
        )

    @property
    def _sdk_client(self) -> httpx2.Client:
        transport = httpx2.HTTPTransport(uds=str(self.paths.engine_socket), verify=NO_TLS)
        return httpx2.Client(transport=transport, timeout=scaled(120))

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        with self.client as client:
            return client.post(path, json=body, headers=headers)

    def chat(self, text: str = "hello", **fields: Any) -> dict[str, Any]:
        """Ask one question; return the whole body, whatever its status."""
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 8} | fields
        answer: dict[str, Any] = self.post("/v1/chat/completions", body).json()
        return answer

    def events(self, path: str, body: Any) -> list[Any]:
        """Stream an answer; return its events' data, parsed, "[DONE]" left out."""
        lines = self.post(path, body | {"stream": True}).text.splitlines()
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [json.loads(entry) for entry in data if entry != "[DONE]"]

    def health(self) -> dict[str, Any]:
        with self.client as client:
            health: dict[str, Any] = client.get("/health").json()
            return health

    def wait(self, condition: Callable[[dict[str, Any]], bool], timeout_s: float = 60) -> dict[str, Any]:
        """Poll health until it is as wanted."""
        deadline = time.monotonic() + scaled(timeout_s)
        pause = threading.Event()
        while True:
            try:
                if condition(health := self.health()):
                    return health
            except httpx.TransportError:
                health = {}
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, f"{health}\n{self.log}"
            pause.wait(0.02)

    def stop(self, timeout_s: float = 10) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(scaled(timeout_s))


@contextmanager
def running_engine(
    models: Callable[[Path], None], settings: dict[str, Any] | None = None, *, ready: bool = True
) -> Iterator[RunningEngine]:
    """Run an engine whose models folder `models` fills.

    Args:
        settings: As in config.toml.
        ready: Wait until it has imported and loaded.
    """
    # Not pytest's tmp_path: its name may be too long for a socket.
    home = Path(tempfile.mkdtemp(prefix="lai-"))
    paths = find_paths({"HOME": str(home)})
    for folder in (paths.state_dir, paths.models_dir):
        folder.mkdir(parents=True)
    models(paths.models_dir)
    # Not the models of whoever runs the tests.
    own = {"models": {"paths": []}} | (settings or {})
    state = make_state(LocalAISettings.model_validate(own), paths)
    write_state(state, paths.state_file)
    log_file = home / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_ai.engine", "--state", str(paths.state_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    engine = RunningEngine(process, paths, log_file)
    try:
        if ready:
            engine.wait(lambda health: health["state"] not in ("importing", "loading"))
        yield engine
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(home)

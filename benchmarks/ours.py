"""local-ai as a user has it, in folders of its own: the console script, the two programs, supervisord."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.clock import clean_environment, memory_mb, run, script, wait
from benchmarks.installed import cache_dir
from local_ai.lifecycle.preflight import prepare_folders
from local_ai.models.starter import prepare_starter
from local_ai.settings.paths import Paths, find_paths
from local_ai.settings.schema import LocalAISettings
from local_ai.settings.state import make_state, write_state
from local_ai.status.probe import probe_engine
from local_ai.supervision.program import ENGINE, GATEWAY

_PROGRAMS = (ENGINE, GATEWAY)


@dataclass(frozen=True)
class Ours:
    """One installation's folders and port."""

    home: Path
    port: int

    @property
    def environ(self) -> dict[str, str]:
        return clean_environment(self.home)

    @property
    def paths(self) -> Paths:
        return find_paths(self.environ)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spawn_start(self) -> subprocess.Popen[bytes]:
        """Run `server start` without waiting for it."""
        return subprocess.Popen(
            [script("local-ai"), "server", "start", "--port", str(self.port)],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def command(self, *words: str) -> str:
        """Run `local-ai WORDS` to its end."""
        return run([script("local-ai"), *words], self.environ)

    def processes(self) -> dict[str, psutil.Process]:
        """Return supervisord and the two programs, by name."""
        report: dict[str, Any] = json.loads(self.command("server", "status", "--json"))
        pids = {row["name"]: row["pid"] for row in report["programs"]}
        return {name: psutil.Process(pids[name]) for name in _PROGRAMS} | {
            "supervisord": psutil.Process(report["pid"])
        }

    def is_settled(self) -> bool:
        """Tell whether supervisord takes both programs for started: one that ends before is retried later."""
        report: dict[str, Any] = json.loads(self.command("server", "status", "--json"))
        return all(row["state"] == "RUNNING" for row in report["programs"])

    def is_ready(self) -> bool:
        """Tell whether the engine has its model."""
        health = probe_engine(self.paths.engine_socket)
        return health is not None and health.state == "ready"

    def stop(self) -> None:
        self.command("server", "stop")


def starter_model() -> Path:
    """Return the starter model, prepared once for all runs."""
    return prepare_starter(cache_dir() / "models")


def make_ours(home: Path, port: int, *models: Path) -> Ours:
    """Make folders that hold these models; nothing is started."""
    ours = Ours(home, port)
    ours.paths.models_dir.mkdir(parents=True)
    for model in models:
        (ours.paths.models_dir / model.name).symlink_to(model)
    return ours


@contextmanager
def running(ours: Ours) -> Iterator[Ours]:
    """Start it, wait until it is ready, and stop it afterwards, whatever happens."""
    try:
        ours.command("server", "start", "--port", str(ours.port))
        yield ours
    finally:
        run([script("local-ai"), "server", "stop", "--force"], ours.environ)


def bare_engine_s(ours: Ours) -> float:
    """Time our engine process without supervisord, gateway and command, from spawn to ready, in seconds."""
    began = time.perf_counter()
    with _bare_engine(ours, LocalAISettings()):
        return time.perf_counter() - began


def idle_engine_mb(ours: Ours) -> tuple[float, float]:
    """Return the engine's memory before its first model, and once a model was unloaded idle, in megabytes."""
    settings = LocalAISettings.model_validate({"model": {"preload": False, "idle_unload_s": 0.5}})
    with _bare_engine(ours, settings) as (engine, paths):
        before = memory_mb(engine)
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(paths.engine_socket)), timeout=60) as client:
            client.post("http://engine/v1/chat/completions", json=body).raise_for_status()
        wait(lambda: (health := probe_engine(paths.engine_socket)) is not None and health.model is None)
        # It begins anew a little later, tells so by having counted nothing yet, and imports all again.
        wait(lambda: (health := probe_engine(paths.engine_socket)) is not None and not health.tokens)
        wait(lambda: _is_at_rest(engine))
        return before, memory_mb(engine)


def _is_at_rest(process: psutil.Process) -> bool:
    before = sum(process.cpu_times()[:2])
    time.sleep(1.0)
    return sum(process.cpu_times()[:2]) - before < 0.05


@contextmanager
def _bare_engine(ours: Ours, settings: LocalAISettings) -> Iterator[tuple[psutil.Process, Paths]]:
    paths = ours.paths.in_state_dir(ours.home / "alone")
    prepare_folders(paths)
    write_state(make_state(settings, paths), paths.state_file)
    command = [sys.executable, "-P", "-m", "local_ai.engine", "--state", str(paths.state_file)]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=paths.state_dir, env=ours.environ, stdin=nowhere, stdout=nowhere, stderr=nowhere
    ) as engine:
        try:
            wait(
                lambda: (health := probe_engine(paths.engine_socket)) is not None and health.state == "ready"
            )
            yield psutil.Process(engine.pid), paths
        finally:
            engine.terminate()

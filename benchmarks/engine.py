"""The bare engine beside mlx_lm.server and omni's own text routers: the same questions in one run.

    uv run python benchmarks/engine.py [--only ours|mlx_lm.server|omni]

All hold the starter model and, on Linux, the same BLAS. Each is asked alone, one after another: `inv bench`
asks in turns and is the one to compare speeds by.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.engine.running import running_engine

from benchmarks.blas import preloadable_blas
from local_ai.models.starter import prepare_starter

_QUESTIONS = (
    "What is the capital of France?",
    "Name three colours.",
    "Why is the sky blue?",
    "Count to ten.",
    "Write a line about the sea.",
)


@dataclass
class Subject:
    """A running server and what was measured of it."""

    process: subprocess.Popen[bytes]
    connect: Callable[[], httpx.Client]
    model: str
    rows: dict[str, str] = field(default_factory=dict)

    def post(self, client: httpx.Client, text: str, max_tokens: int, **fields: Any) -> dict[str, Any]:
        """Ask one question at temperature 0."""
        body = {"model": self.model, "messages": [{"role": "user", "content": text}], "temperature": 0}
        answer = client.post("/v1/chat/completions", json=body | {"max_tokens": max_tokens} | fields)
        content: dict[str, Any] = answer.json()
        return content

    def ask(self, text: str, max_tokens: int, **fields: Any) -> dict[str, Any]:
        with self.connect() as client:
            return self.post(client, text, max_tokens, **fields)

    @contextlib.contextmanager
    def streaming(self, max_tokens: int) -> Iterator[Iterator[str]]:
        """Stream an answer; give out its lines."""
        messages = [{"role": "user", "content": "Write a long story about a fox."}]
        body = {"model": self.model, "messages": messages, "max_tokens": max_tokens, "stream": True}
        with (
            self.connect() as client,
            client.stream("POST", "/v1/chat/completions", json=body) as stream,
        ):
            yield stream.iter_lines()


def main() -> None:
    """Measure each server in turn and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(_SERVERS))
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as folder:
        model = prepare_starter(Path(folder))
        tables = {}
        for name, serve in _SERVERS.items():
            if only in (None, name):
                print(f"measuring {name} …", file=sys.stderr)
                with serve(model) as subject:
                    measure(subject)
                tables[name] = subject.rows
    _print(tables)


def measure(subject: Subject) -> None:
    """Fill in every row; SIGTERM comes last."""
    rows = subject.rows
    _wait_until_answered(subject)
    began = psutil.Process(subject.process.pid).create_time()
    rows["start → first HTTP answer"] = _seconds(time.time() - began)
    subject.ask("hello", 1)
    rows["start → first token"] = _seconds(time.time() - began)
    rows["/health while a stream runs, median"] = _health_during_stream(subject)
    rows["same question twice, equal"] = _repeatable(subject)
    rows["max_tokens 1 / 2 / 5"] = _exact(subject)
    rows["60 tokens for 1 / 4 / 8 clients"] = _clients(subject)
    rows["client leaves; next 8 tokens"] = _after_leaving(subject)
    rows["SIGTERM during a stream"] = _stop_during_stream(subject)


def _wait_until_answered(subject: Subject) -> None:
    while True:
        with contextlib.suppress(httpx.TransportError), subject.connect() as client:
            client.get("/health")
            return
        time.sleep(0.02)


def _health_during_stream(subject: Subject) -> str:
    took = []
    with subject.streaming(800) as lines, subject.connect() as client:
        next(lines)
        for _ in range(40):
            before = time.perf_counter()
            client.get("/health").raise_for_status()
            took.append(time.perf_counter() - before)
    return f"{1000 * statistics.median(took):.1f} ms"


def _clients(subject: Subject) -> str:
    def elapsed(clients: int) -> float:
        texts = [f"{clients}.{client}: write a long story." for client in range(clients)]
        before = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda text: subject.ask(text, 60), texts))
        return time.perf_counter() - before

    return " / ".join(_seconds(elapsed(clients)) for clients in (1, 4, 8))


def _repeatable(subject: Subject) -> str:
    def text(question: str) -> str | None:
        choices = subject.ask(question, 20).get("choices")
        return choices[0]["message"].get("content") if choices else None

    equal = sum(text(question) == text(question) for question in _QUESTIONS)
    return f"{equal} of {len(_QUESTIONS)}"


def _exact(subject: Subject) -> str:
    answers = [subject.ask("Write a long story.", count) for count in (1, 2, 5)]
    counts = [str(answer.get("usage", {}).get("completion_tokens", "–")) for answer in answers]
    return " / ".join(counts)


def _after_leaving(subject: Subject) -> str:
    with subject.streaming(800) as lines:
        for _ in range(5):
            next(lines)
    before = time.perf_counter()
    subject.ask("hello", 8)
    return _seconds(time.perf_counter() - before)


def _stop_during_stream(subject: Subject) -> str:
    with subject.streaming(800) as lines:
        next(lines)
        before = time.perf_counter()
        subject.process.send_signal(signal.SIGTERM)
        try:
            subject.process.wait(60)
        except subprocess.TimeoutExpired:
            return "> 60 s"
        return _seconds(time.perf_counter() - before)


@contextlib.contextmanager
def _serve_engine(model: Path, settings: dict[str, Any]) -> Iterator[Subject]:
    def fill(folder: Path) -> None:
        (folder / model.name).symlink_to(model)

    with running_engine(fill, settings, ready=False) as engine:
        yield Subject(engine.process, lambda: engine.client, model.name)


@contextlib.contextmanager
def _serve_mlx_lm(model: Path) -> Iterator[Subject]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlx_lm.server", "--model", str(model), "--port", str(port)],
        env=dict(os.environ) | preloadable_blas(model.parent),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        yield Subject(process, lambda: httpx.Client(base_url=url, timeout=300), str(model))
    finally:
        process.kill()
        process.wait()


_SERVERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Subject]]] = {
    "ours": lambda model: _serve_engine(model, {}),
    "mlx_lm.server": _serve_mlx_lm,
    "omni": lambda model: _serve_engine(model, {"engine": {"text": "mlx-omni-server"}}),
}


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def _print(tables: dict[str, dict[str, str]]) -> None:
    print(f"| | {' | '.join(tables)} |\n|---{'|---' * len(tables)}|")
    for row in next(iter(tables.values())):
        print(f"| {row} | {' | '.join(table[row] for table in tables.values())} |")
    print(json.dumps(tables), file=sys.stderr)


if __name__ == "__main__":
    main()

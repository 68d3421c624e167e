"""Real gateway processes for tests and benchmarks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from tests.waits import NO_TLS, scaled

from local_ai.settings.state import State, write_state


@contextmanager
def running_gateway(state: State, *, descriptors: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a gateway as supervisord does: its stdin is a pipe that we hold.

    Args:
        descriptors: The most files it may have open.
    """
    state.paths.state_dir.mkdir(parents=True, exist_ok=True)
    write_state(state, state.paths.state_file)
    command = [sys.executable, "-P", "-m", "local_ai.gateway", "--state", str(state.paths.state_file)]
    if descriptors is not None:
        command = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *command]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_answer(url: str, *, timeout_s: float = 20) -> httpx.Response:
    """Ask until somebody answers."""
    timeout_s = scaled(timeout_s)
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        try:
            return httpx.get(url, headers={"Accept": "text/html"}, timeout=timeout_s, verify=NO_TLS)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "nobody answers"
            pause.wait(0.005)


def output_of(process: subprocess.Popen[str], *, timeout_s: float = 10) -> str:
    """Return all it wrote, once it has ended by itself; `communicate` would close its stdin and so end it."""
    process.wait(scaled(timeout_s))
    assert process.stdout is not None
    return process.stdout.read()

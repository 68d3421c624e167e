"""How things are timed: a command, a wait, an answer over HTTP."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

_BIN = Path(sys.executable).parent


def script(name: str) -> str:
    """Return a command of this environment."""
    return str(_BIN / name)


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment with folders of its own and nothing that changes how Python runs."""
    dropped = ("XDG_", "LOCAL_AI_", "HF_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "DATA", "CACHE")}
    return kept | {"HOME": str(home), "NO_COLOR": "1"} | folders


def run(command: Sequence[str | Path], environ: Mapping[str, str], *, cwd: Path | None = None) -> str:
    """Run a command to its end and return what it printed; what it complains of ends the benchmark."""
    done = subprocess.run(
        command, env=environ, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def timed(action: Callable[[], object]) -> float:
    """Return how long an action takes, in seconds."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def wait(look: Callable[[], object], *, timeout_s: float = 120) -> None:
    """Look each 5 ms until there is something to see."""
    deadline = time.monotonic() + timeout_s
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing within {timeout_s} s")
        time.sleep(0.005)


def answers(port: int, path: str = "/") -> bool:
    """Tell whether a GET is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Accept": "text/html"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def listener_of(port: int) -> psutil.Process:
    """Return the process that listens on a port."""
    for process in psutil.process_iter():
        try:
            if any(c.status == "LISTEN" and c.laddr.port == port for c in process.net_connections("tcp")):
                return process
        except psutil.Error:
            continue
    raise LookupError(f"nobody listens on {port}")


def memory_mb(*processes: psutil.Process) -> float:
    """Return the resident memory of some processes together, in megabytes."""
    return sum(float(process.memory_info().rss) for process in processes) / 1e6


def say(text: str) -> None:
    """Tell on stderr what is under way."""
    print(text, file=sys.stderr, flush=True)

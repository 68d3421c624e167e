"""How long people wait for the service: start, status, stop, beside what the engine alone needs.

    uv run python benchmarks/lifecycle.py [--runs 5] [--json]

Everything is measured in one run, interleaved, on the starter model, in folders of its own. Read the ratios:
the seconds are this machine's.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from local_ai.models.starter import prepare_starter
from local_ai.paths import Paths, find_paths
from local_ai.preflight import prepare_folders
from local_ai.probe import probe_engine
from local_ai.settings.load import load_config
from local_ai.state import make_state, write_state

SCRIPT = Path(sys.executable).parent / "local-ai"


def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Path(folder)
        environ = _environ(home)
        paths = find_paths(environ)
        _say("preparing the starter model")
        prepare_starter(paths.models_dir)
        samples: dict[str, list[float]] = {}
        try:
            for run in range(options.runs):
                _say(f"run {run + 1} of {options.runs}")
                for name, seconds in _measure(environ, paths):
                    samples.setdefault(name, []).append(seconds)
        finally:
            # A run that failed half way must leave no server behind.
            _run([SCRIPT, "server.stop", "--force"], environ)
    _print(samples, as_json=options.json)


def _measure(environ: dict[str, str], paths: Paths) -> Iterator[tuple[str, float]]:
    port = _free_port()
    yield "engine alone: spawn to ready", _engine_alone(paths)
    yield "python -c pass", _timed(lambda: _run([sys.executable, "-c", "pass"], environ))
    began = time.perf_counter()
    with subprocess.Popen(
        [SCRIPT, "server.start", "--port", str(port)], env=environ, stdout=subprocess.DEVNULL
    ) as starting:
        _wait(lambda: _page_answers(port))
        yield "server.start to page", time.perf_counter() - began
        if starting.wait(timeout=120) != 0:
            raise SystemExit("server.start failed")
        yield "server.start to ready", time.perf_counter() - began
    yield "server.status", _timed(lambda: _run([SCRIPT, "server.status"], environ))
    ctl = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(paths.conf), "status"]
    yield "supervisorctl status", _timed(lambda: _run(ctl, environ))
    yield "server.stop", _timed(lambda: _run([SCRIPT, "server.stop"], environ))


def _engine_alone(paths: Paths) -> float:
    """Time our engine process without supervisord, gateway or command, from spawn to ready."""
    alone = replace(paths, state_dir=paths.state_dir.parent / "alone")
    prepare_folders(alone)
    write_state(make_state(load_config(), alone), alone.state_file)
    command = [sys.executable, "-P", "-m", "local_ai.engine", "--state", str(alone.state_file)]
    began = time.perf_counter()
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=alone.state_dir, stdin=nowhere, stdout=nowhere, stderr=nowhere
    ) as engine:
        _wait(lambda: (health := probe_engine(alone.engine_socket)) is not None and health.state == "ready")
        seconds = time.perf_counter() - began
        engine.terminate()
    return seconds


def _print(samples: dict[str, list[float]], *, as_json: bool) -> None:
    medians = {name: statistics.median(values) for name, values in samples.items()}
    if as_json:
        print(json.dumps({"machine": _machine(), "median_s": medians, "samples_s": samples}, indent=2))
        return
    print(f"{_machine()}, {time.strftime('%Y-%m-%d')}, medians of {len(next(iter(samples.values())))} runs\n")
    print(f"{'what':32} {'median':>8} {'lowest':>8} {'highest':>8}")
    for name, values in samples.items():
        print(f"{name:32} {medians[name]:7.2f}s {min(values):7.2f}s {max(values):7.2f}s")
    ready = medians["server.start to ready"] / medians["engine alone: spawn to ready"]
    status = medians["server.status"] / medians["supervisorctl status"]
    print(f"\nready, beside the engine alone: {ready:.2f}×")
    print(f"server.status, beside supervisorctl status: {status:.2f}×")


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _environ(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "LOCAL_AI_"))}
    return kept | {"HOME": str(home)} | {f"XDG_{kind}_HOME": str(home / kind) for kind in ("STATE", "DATA")}


def _run(command: Sequence[str | Path], environ: dict[str, str]) -> None:
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)


def _timed(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _wait(look: Callable[[], bool], *, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing within {timeout_s} s")
        time.sleep(0.005)


def _page_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Accept": "text/html"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

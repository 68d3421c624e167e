"""A real server for a test, with folders and port of its own, driven by the console script as by a user."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
from tests.waits import scaled

from local_ai.settings.paths import Paths, find_paths

T = TypeVar("T")

SCRIPT = Path(sys.executable).parent / "local-ai"


@dataclass
class Server:
    """One installation's folders and port, driven by the console script as a user would."""

    home: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    begun: list[subprocess.Popen[str]] = field(default_factory=list)  # commands in the background
    script: Path = SCRIPT

    @property
    def paths(self) -> Paths:
        return find_paths(self._environ())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *words: str, timeout_s: float = 120, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run `local-ai WORDS` to its end."""
        return subprocess.run(
            [str(self.script), *words],
            env=self._environ() | extra,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=scaled(timeout_s),
        )

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run this Python interpreter with these words."""
        return subprocess.run(
            [sys.executable, *words],
            env=self._environ(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=scaled(120),
        )

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell."""
        return subprocess.run(
            line,
            shell=True,
            env=self._environ(),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=scaled(170),
        )

    def popen(self, *words: str) -> subprocess.Popen[str]:
        """Run `local-ai WORDS` in the background."""
        process = subprocess.Popen(
            [str(self.script), *words],
            env=self._environ(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.begun.append(process)
        return process

    def start(self, *options: str) -> subprocess.CompletedProcess[str]:
        done = self.run("server.start", *options)
        assert done.returncode == 0, done.stderr + done.stdout
        return done

    def stop(self) -> subprocess.CompletedProcess[str]:
        done = self.run("server.stop")
        assert done.returncode == 0, done.stderr
        return done

    def status(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.run("server.status", "--json").stdout)
        return report

    def pid_of(self, program: str) -> int:
        pid = next(row["pid"] for row in self.status()["programs"] if row["name"] == program)
        assert isinstance(pid, int)
        return pid

    def processes(self) -> list[psutil.Process]:
        """Every process that runs on this server's folders."""
        marks = {str(self.paths.state_file), str(self.paths.conf)}
        return [process for process in psutil.process_iter() if marks & set(command_line(process))]

    def supervisorctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.paths.conf), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=scaled(60))

    def _environ(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XDG_", "LOCAL_AI_", "HF_")) and name != "UV"
        }
        folders = {f"XDG_{name}_HOME": str(self.home / name.lower()) for name in ("CONFIG", "STATE", "DATA")}
        own = {"HOME": str(self.home), "LOCAL_AI_SERVER__PORT": str(self.port), "NO_COLOR": "1"}
        return kept | folders | own | self.environment


def end(server: Server) -> None:
    """End what a test left running, also what it had paused, and commands that wait for something."""
    for begun in server.begun:
        if begun.poll() is None:
            begun.kill()
            begun.wait()
    for process in server.processes():
        process.send_signal(signal.SIGCONT)
    server.run("server.stop", "--force")
    left = server.processes()
    for process in left:
        process.kill()
    assert left == [], f"left running: {left}"


@dataclass(frozen=True)
class Traces:
    """What a test may change of a server, its processes aside."""

    files: frozenset[Path]
    state: bytes
    port: int
    environment: dict[str, str]
    begun: int
    model: object  # that is loaded, if the server answers


def traces(server: Server) -> Traces:
    """Return them as they are now."""
    paths = server.paths
    folders = (paths.config_dir, paths.models_dir, paths.state_dir, paths.hub_cache)
    return Traces(
        frozenset(file for folder in folders for file in folder.rglob("*")),
        paths.state_file.read_bytes() if paths.state_file.exists() else b"",
        server.port,
        dict(server.environment),
        len([begun for begun in server.begun if begun.poll() is None]),
        loaded_model(server),
    )


def loaded_model(server: Server) -> object:
    """Return which model its engine has in memory; none where the server does not answer."""
    try:
        with urllib.request.urlopen(f"{server.url}/status.json", timeout=scaled(10)) as answer:
            return (json.load(answer)["engine"] or {}).get("model")
    except OSError:
        return None


def remove_additions(server: Server, before: Traces) -> None:
    """Remove settings and models that were not there before; not what the programs write."""
    for file in sorted(traces(server).files - before.files, reverse=True):
        if file.is_relative_to(server.paths.state_dir):
            continue
        file.unlink() if file.is_symlink() or not file.is_dir() else file.rmdir()
    with suppress(OSError):  # not there, or not empty
        server.paths.config_dir.rmdir()


def own_pids(server: Server) -> set[tuple[int, bool]]:
    """Return the pid of each of its processes, and whether it is paused."""
    found: set[tuple[int, bool]] = set()
    for process in server.processes():
        with suppress(psutil.NoSuchProcess):
            found.add((process.pid, process.status() == psutil.STATUS_STOPPED))
    return found


def is_as_started(server: Server) -> bool:
    """Whether it is ready, whole, with its own model, and nothing of it has ended by itself."""
    report = server.status()
    paused = any(is_paused for _, is_paused in own_pids(server))
    restarts = sum(row["restarts"] for row in report["programs"])
    is_whole = len(own_pids(server)) == len(report["programs"]) + 1 and not paused
    return bool(report["ready"]) and report["models"] == ["tiny"] and is_whole and not restarts


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_until(look: Callable[[], T], *, timeout_s: float = 30) -> T:
    """Look until there is something to see; the wait is scaled to this machine.

    A look that is work, as a command is, leaves the machine as long to what is waited for.
    """
    timeout_s = scaled(timeout_s)
    deadline = time.monotonic() + timeout_s
    while True:
        began = time.monotonic()
        if seen := look():
            return seen
        now = time.monotonic()
        assert now < deadline, f"not seen within {timeout_s:.0f} s"
        time.sleep(max(0.02, now - began))


def command_line(process: psutil.Process) -> list[str]:
    """Return a process's words; none for one that has ended."""
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []

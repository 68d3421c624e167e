"""The server as a service of a real systemd, which runs in a mount namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.server import SCRIPT, Server, wait_until
from tests.waits import scaled

SYSTEMD = Path("/lib/systemd/systemd")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not SYSTEMD.exists() or not shutil.which("unshare") or os.getuid() != 0,
        reason="no systemd to run, or not root: only root can give it a namespace of its own",
    ),
]
# systemd runs a user's services only where the system itself seems to be booted with it.
_START = (
    "mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/system && "
    f"exec {SYSTEMD} --user"
)


class Systemd:
    """A systemd of one user, and commands that see it."""

    def __init__(self, process: subprocess.Popen[bytes], environment: dict[str, str], server: Server) -> None:
        self.process = process
        self._environment = environment
        self._server = server

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", "--mount", f"--target={self.process.pid}"]
        return subprocess.run(
            [*inside, *words],
            env=self._environment,
            cwd=self._server.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=scaled(120),
            check=False,
        )

    def local_ai(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(SCRIPT), *words)

    def property(self, name: str) -> str:
        shown = self.run("systemctl", "--user", "show", "local-ai.service", f"--property={name}", "--value")
        return shown.stdout.strip()

    def becomes(self, state: str) -> None:
        """Wait for an ActiveState: what the server says may be ahead of what systemd has seen."""
        wait_until(lambda: self.property("ActiveState") == state)


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A server whose port is in a settings file: a service does not see the environment."""
    server = make_server()
    file = server.paths.config_file
    file.parent.mkdir(parents=True)
    file.write_text(f"[server]\nport = {server.port}\n")
    return server


@pytest.fixture
def systemd(server: Server, tmp_path: Path) -> Iterator[Systemd]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    seen = {name: value for name, value in server._environ().items() if not name.startswith("LOCAL_AI_")}
    environment = {**seen, "XDG_RUNTIME_DIR": str(runtime)}
    # loginctl asks the system's own systemd, which is not there.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "loginctl").write_text("#!/bin/sh\n")
    (tools / "loginctl").chmod(0o755)
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", _START],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    made = Systemd(process, environment, server)
    try:
        wait_until(lambda: made.run("systemctl", "--user", "is-system-running").stdout.strip() == "running")
        yield made
        made.local_ai("service.uninstall")
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(scaled(60))
        for child in children:
            if child.is_running():
                child.kill()


def test_an_installed_service_runs_the_server_and_start_stop_and_restart_know_it(
    server: Server, systemd: Systemd
):
    installed = systemd.local_ai("service", "install")
    assert installed.returncode == 0, installed.stderr
    assert installed.stdout.startswith("Installed: the server starts now, and when you log in.\n")

    started = systemd.local_ai("server", "start")
    assert started.returncode == 0, started.stderr
    systemd.becomes("active")
    first = systemd.property("MainPID")
    assert systemd.property("UnitFileState") == "enabled"

    shown = json.loads(systemd.local_ai("service", "status", "--json").stdout)
    assert (shown["installed"], shown["current"], shown["active"], str(shown["pid"])) == (
        True,
        True,
        True,
        first,
    )

    restarted = systemd.local_ai("server", "restart")
    assert restarted.returncode == 0, restarted.stderr
    systemd.becomes("active")
    assert systemd.property("MainPID") not in ("0", first)

    refused = systemd.local_ai("server", "restart", "--port", "1")
    assert refused.returncode == 2
    assert "why: --port cannot be given to it" in refused.stderr

    stopped = systemd.local_ai("server", "stop")
    assert stopped.stdout == "Stopped.\n"
    assert "To prevent that: local-ai service uninstall" in stopped.stderr
    systemd.becomes("inactive")
    assert systemd.local_ai("service", "status").returncode == 3

    again = systemd.local_ai("server", "start")
    assert again.stdout.startswith("Ready: "), again.stderr
    systemd.becomes("active")

    gone = systemd.local_ai("service", "uninstall")
    assert gone.stdout == "Uninstalled: the server is stopped and no longer starts by itself.\n"
    assert systemd.local_ai("server", "status").returncode == 3


def test_a_server_run_by_hand_makes_way_for_its_service(server: Server, systemd: Systemd):
    server.start()

    installed = systemd.local_ai("service", "install")

    assert "The server that runs now was started by hand: it is stopped first." in installed.stderr
    assert systemd.local_ai("server", "start").returncode == 0
    systemd.becomes("active")


def test_a_killed_server_is_started_again_by_the_system_and_one_stopped_by_force_stays_stopped(
    server: Server, systemd: Systemd
):
    systemd.local_ai("service", "install")
    systemd.local_ai("server", "start")
    supervisord = int(server.paths.supervisord_pid.read_text())

    psutil.Process(supervisord).kill()

    def is_back() -> bool:
        try:
            return int(server.paths.supervisord_pid.read_text()) != supervisord
        except (OSError, ValueError):
            return False

    wait_until(is_back)
    assert systemd.local_ai("server", "start").returncode == 0

    psutil.Process(int(server.paths.supervisord_pid.read_text())).suspend()

    stopped = systemd.local_ai("server", "stop", "--force")

    assert stopped.stdout.startswith("Stopped with SIGKILL (as asked)."), stopped.stderr
    systemd.becomes("inactive")
    assert systemd.property("SubState") == "dead"  # not waiting to start it again
    assert not server.paths.killed_pid.exists()

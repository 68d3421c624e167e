"""Processes that die, hang, move or get in each other's way, provoked for real."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from tests.server import Server, wait_until
from tests.waits import scaled

from local_ai.supervision.program import ENGINE, GATEWAY

pytestmark = pytest.mark.integration


def get(url: str, *, timeout_s: float = 10) -> bytes:
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        body: bytes = answer.read()
        return body


def supervisord_of(server: Server) -> psutil.Process:
    return psutil.Process(int(server.paths.supervisord_pid.read_text()))


def test_paused_engine_is_told_and_never_restarted_for_it(running: Server):
    wait_until(lambda: running.status()["programs"][0]["state"] == "RUNNING")
    engine = psutil.Process(running.pid_of(ENGINE))
    engine.suspend()

    shown = running.run("server.status")
    models = json.loads(get(f"{running.url}/v1/models"))

    assert shown.returncode == 3
    assert shown.stdout.startswith(f"Paused: the engine (pid {engine.pid})\n")
    assert f"  fix: let it continue: kill -CONT {engine.pid}\n" in shown.stdout
    assert models["data"][0]["id"] == "tiny"
    engine.resume()
    wait_until(lambda: running.status()["ready"])
    assert running.pid_of(ENGINE) == engine.pid


def test_paused_supervisord_keeps_neither_program_from_answering(running: Server):
    """It reads their logs; more than it has room for must not make them wait."""
    supervisord = supervisord_of(running)
    supervisord.suspend()

    with httpx.Client(base_url=running.url, timeout=scaled(10)) as client:
        statuses = {client.post("/v1/chat/completions", json={"messages": 1}).status_code for _ in range(900)}

    assert statuses == {400}
    supervisord.resume()
    wait_until(lambda: running.status()["ready"])


def test_stop_and_start_at_once_take_turns(running: Server):
    old = {process.pid for process in running.processes()}

    stopping, starting = running.popen("server.stop"), running.popen("server.start")
    outputs = [process.communicate(timeout=scaled(120))[0] for process in (stopping, starting)]

    # Whichever got the lock first: afterwards there is one server, or none, and nobody failed.
    assert stopping.returncode == 0, outputs
    assert starting.returncode in {0, 1}, outputs
    running.start()
    assert len(running.processes()) == 3
    assert running.status()["ready"]
    assert old


def test_own_orphans_are_ended_before_a_start(running: Server):
    # Orphans that the guard did not end: their stdin was not supervisord's.
    running.stop()
    command = [sys.executable, "-P", "-m", "local_ai.gateway", "--state", str(running.paths.state_file)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as orphan:
        wait_until(lambda: answers(running))

        running.start()

        assert orphan.wait(timeout=scaled(10)) is not None
    assert len(running.processes()) == 3


def answers(server: Server) -> bool:
    try:
        return bool(get(f"{server.url}/healthz", timeout_s=2))
    except OSError:
        return False


def test_reused_pid_is_never_signalled(server: Server):
    # The pid file of a server that is gone names a process that is somebody else's by now.
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as stranger:
        server.paths.state_dir.mkdir(parents=True, mode=0o700)
        server.paths.supervisord_pid.write_text(f"{stranger.pid}\n")
        server.paths.engine_pid.write_text(f"{stranger.pid}\n")

        server.start()
        server.stop()

        assert stranger.poll() is None
        stranger.terminate()


def test_empty_pid_file_is_unknown_and_not_trusted(running: Server):
    running.paths.supervisord_pid.write_text("")

    assert running.run("server.status").returncode == 0
    assert running.stop().stdout == "Stopped.\n"
    assert running.processes() == []


def test_second_shell_with_another_state_home_finds_the_first(
    running: Server, make_server: Callable[..., Server]
):
    other = make_server()
    other.port = running.port

    refused = other.run("server.start")

    assert refused.returncode == 5
    assert refused.stderr == (
        "error: the server did not start\n"
        f"  why: port {running.port} on 127.0.0.1 is used by another local-ai, whose state is in "
        f"{running.paths.state_dir}\n"
        f"  fix: XDG_STATE_HOME={running.paths.state_dir.parent} local-ai server stop, "
        f"or give this one --port {running.port + 1}\n"
    )


def test_environment_that_was_upgraded_while_running_is_told(running: Server):
    state = json.loads(running.paths.state_file.read_text())
    running.paths.state_file.write_text(json.dumps(state | {"version": "0.0.1"}))

    noted = running.start()
    running.paths.state_file.write_text(json.dumps(state))

    assert "to use them: local-ai server restart\n" in noted.stderr


def test_port_taken_after_the_check_ends_with_its_owner_named(running: Server):
    # The gateway's port is taken while supervisord restarts it, too late for the check before a start.
    running.supervisorctl("stop", GATEWAY)
    with socket.create_server(("127.0.0.1", running.port)):
        refused = running.run("server.start")

    assert refused.returncode == 5, refused.stderr
    assert f"port {running.port} on 127.0.0.1 is already in use" in refused.stderr


def test_programs_killed_while_they_start_do_not_fail_the_start(server: Server):
    starting = server.popen("server.start")

    for program in (GATEWAY, ENGINE):
        pid = wait_until(
            lambda name=program: next(
                (row["pid"] for row in server.status()["programs"] if row["name"] == name), 0
            )
        )
        os.kill(pid, signal.SIGKILL)

    output, _ = starting.communicate(timeout=scaled(120))
    assert starting.returncode == 0, output
    assert server.status()["ready"]


def test_supervisord_killed_while_it_starts_ends_the_start_and_leaves_nothing(server: Server):
    starting = server.popen("server.start")
    wait_until(lambda: server.paths.engine_pid.exists())

    supervisord_of(server).kill()

    output, _ = starting.communicate(timeout=scaled(120))
    assert starting.returncode == 1, output
    assert "why: it was stopped while it was starting" in output
    wait_until(lambda: not server.processes())


_SLOW_TO_THE_BACKGROUND = """
import sys
if "local_ai.supervision" in sys.orig_argv:
    import time
    from supervisor.options import ServerOptions

    daemonize = ServerOptions.daemonize
    ServerOptions.daemonize = lambda self: (time.sleep({delay_s}), daemonize(self), time.sleep(0.3))
"""


@pytest.mark.parametrize("delay_s", [0.1, 0.26, 0.3])
def test_ctrl_c_while_supervisord_goes_to_the_background_leaves_nothing(
    make_server: Callable[..., Server], tmp_path: Path, delay_s: float
):
    (tmp_path / "sitecustomize.py").write_text(_SLOW_TO_THE_BACKGROUND.format(delay_s=delay_s))
    server = make_server(PYTHONPATH=str(tmp_path))
    starting = server.popen("server.start")
    wait_until(lambda: server.paths.supervisor_socket.exists())

    os.killpg(starting.pid, signal.SIGINT)

    output, _ = starting.communicate(timeout=scaled(60))
    assert starting.returncode == 130, output
    assert "Ctrl-C before the server was up, so nothing was left running" in output
    assert server.processes() == []


def test_log_that_supervisord_rotates_is_followed_without_a_gap(running: Server):
    """Its own rotation, at a size that the test reaches."""
    conf, log = running.paths.conf, running.paths.log(GATEWAY)
    conf.write_text(
        conf.read_text().replace("stdout_logfile_maxbytes = 10MB", "stdout_logfile_maxbytes = 8KB")
    )
    assert running.supervisorctl("update").returncode == 0
    wait_until(lambda: running.status()["ready"])
    following = running.popen("server.logs", "--program", GATEWAY, "--lines", "1", "--follow")
    assert following.stdout is not None
    assert following.stdout.readline()

    with httpx.Client(base_url=running.url, timeout=scaled(10)) as client:
        for number in range(300):
            client.post(f"/v1/chat/completions?n={number}", json={"messages": 1})

    seen = [next(following.stdout) for _ in range(300)]
    assert all("POST /v1/chat/completions: 400" in line for line in seen)
    assert log.with_name(f"{log.name}.1").exists()
    following.send_signal(signal.SIGINT)
    following.wait(timeout=scaled(10))


def test_two_servers_side_by_side_do_not_touch_each_other(
    running: Server, make_server: Callable[..., Server]
):
    other = make_server()
    assert other.port != running.port
    other.start()

    other.stop()

    assert running.status()["ready"]
    assert other.processes() == []

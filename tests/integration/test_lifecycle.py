"""start, stop, restart, status: with a real supervisord, gateway and engine."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable

import psutil
import pytest
from tests.server import Server, free_port, wait_until
from tests.waits import scaled

from local_ai import ServerManager
from local_ai.settings.load import load_config
from local_ai.supervision.program import ENGINE, GATEWAY

pytestmark = pytest.mark.integration


def engine_pid(server: Server) -> int | None:
    pid: int | None = server.status()["programs"][0]["pid"]
    return pid


def engine_pid_of_a_ready(server: Server) -> int | None:
    """The engine's pid once supervisord calls it RUNNING: what ends earlier, it gives up on by itself."""
    row = server.status()["programs"][0]
    pid: int | None = row["pid"]
    return pid if (row["state"], row["readiness"]) == ("RUNNING", "ready") else None


def ended(done: subprocess.CompletedProcess[str], first_line: str) -> subprocess.CompletedProcess[str] | None:
    return done if done.stdout.startswith(first_line) else None


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=scaled(10)) as answer:
        body: bytes = answer.read()
        return body


def chat(server: Server) -> int:
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}).encode()
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=scaled(30)) as answer:
        status: int = answer.status
        return status


def test_start_prints_where_it_answers_and_stop_leaves_nothing_and_each_twice_changes_nothing(server: Server):
    """In a folder with signs that mean something elsewhere."""
    server.environment["XDG_STATE_HOME"] = str(server.home / "a ;b #c %d 'e'")
    started = server.start()
    pid = server.pid_of(ENGINE)
    again = server.start()

    assert started.stdout.splitlines()[0] == f"Ready: tiny answers at 127.0.0.1:{server.port}"
    for address in (f"{server.url}/", f"{server.url}/v1", f"{server.url}/anthropic", "tiny"):
        assert address in started.stdout
    assert json.loads(get(f"{server.url}/v1/models"))["data"][0]["id"] == "tiny"
    assert server.paths.engine_pid.read_text().strip() == str(server.pid_of(ENGINE)) == str(pid)
    assert again.stdout.splitlines()[0] == "The server is already running."

    stopped = server.stop()

    assert stopped.stdout == "Stopped.\n"
    assert server.processes() == []
    left = {file.name for file in server.paths.state_dir.iterdir()}
    assert left == {"lifecycle.lock", "logs", "state.json", "supervisord.conf"}
    with socket.create_server(("127.0.0.1", server.port)):
        pass
    assert server.stop().stdout == "The server was not running.\n"
    shown = server.run("server.status")
    assert (shown.returncode, shown.stdout) == (
        3,
        "Stopped: the server is not running\n  fix: local-ai server start\n",
    )


def test_the_running_server_is_judged_by_its_own_folders_not_by_those_of_the_shell(running: Server):
    elsewhere = {
        name: str(running.home / "elsewhere") for name in ("XDG_DATA_HOME", "HF_HOME", "XDG_CACHE_HOME")
    }

    status = running.run("server.status", "--json", **elsewhere)
    listed = running.run("models.list", "--json", **elsewhere)

    assert (status.returncode, json.loads(status.stdout)["default_model"]) == (0, "tiny")
    assert "tiny" in {row["id"] for row in json.loads(listed.stdout)["models"]}
    assert f"The folders of the running server, {running.paths.models_dir} and " in listed.stderr
    assert "The folders of the running server" not in running.run("models.list").stderr


def test_signals_of_a_log_rotation_end_nothing_and_refuse_nothing(running: Server):
    """Whichever process they go to: supervisord, the programs, and the writers of prompts below them."""
    programs = running.processes()
    processes = {each.pid: each for one in programs for each in (one, *one.children(recursive=True))}
    statuses = []

    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        for process in processes.values():
            process.send_signal(number)
        statuses.append(chat(running))

    assert len(processes) >= 4
    assert statuses == [200, 200, 200]
    assert all(process.is_running() for process in processes.values())
    assert running.processes() == programs


def test_status_tells_programs_and_ends_with_0_where_all_is_ready(running: Server):
    shown = running.run("server", "status")

    assert shown.returncode == 0
    assert shown.stdout.startswith(f"Ready: tiny answers at 127.0.0.1:{running.port}\n")
    assert all(word in shown.stdout for word in (ENGINE, GATEWAY, "● ready"))


def test_status_json_is_what_the_gateway_serves(running: Server):
    printed, served = running.status(), json.loads(get(f"{running.url}/status.json"))

    def steady(report: dict[str, object]) -> object:
        changing = {"uptime_s", "memory_bytes", "detail"}
        programs = report["programs"]
        assert isinstance(programs, list)
        rows = [{key: value for key, value in row.items() if key not in changing} for row in programs]
        return rows, report["verdict"], report["urls"], report["models"], report["default_model"]

    assert steady(printed) == steady(served)


def test_supervisorctl_works_on_what_was_started(running: Server):
    pid = running.pid_of(ENGINE)

    listed = running.supervisorctl("status").stdout
    assert {name: state for name, state, *_ in map(str.split, listed.splitlines())}.items() <= {
        (name, state) for name in (ENGINE, GATEWAY) for state in ("STARTING", "RUNNING")
    }
    assert "started" in running.supervisorctl("restart", ENGINE).stdout
    assert running.supervisorctl("tail", ENGINE).returncode == 0
    assert running.pid_of(ENGINE) != pid


def test_program_stopped_with_supervisorctl_is_stopped_by_hand_until_the_next_start(running: Server):
    running.supervisorctl("stop", ENGINE)

    shown = running.run("server.status")
    assert shown.returncode == 3
    assert shown.stdout.startswith("Stopped by hand: the engine\n")

    running.start()

    assert running.run("server.status").returncode == 0


_RESTART = """
import os
del os.environ["LOCAL_AI_SERVER__PORT"]
os.environ["LOCAL_AI_SERVER__DRAIN_S"] = "4"
from local_ai import ServerManager
result = ServerManager().restart(startup_timeout=150)
print(result.success, result.error)
"""


def test_restart_from_another_shell_keeps_what_the_start_was_given(make_server: Callable[..., Server]):
    server, port = make_server(), free_port()
    other = server.home / "other.toml"
    other.write_text("[generation]\nmax_tokens = 7\n")
    options = ("--port", str(port), "--config", str(other))
    started = server.run("server.start", *options, LOCAL_AI_SERVER__DRAIN_S="3")
    assert started.returncode == 0, started.stderr

    plain = f"env -u LOCAL_AI_SERVER__PORT {server.script} server.restart"

    again = server.shell(plain)
    python = server.python("-c", _RESTART)

    assert again.returncode == 0, again.stderr
    kept = again.stderr.partition("Kept from the last start: ")[2]
    assert f"server.port = {port}" in kept and "server.drain_s = 3.0" in kept
    assert python.stdout == "True None\n", python.stderr
    settings = json.loads(server.paths.state_file.read_text())["settings"]
    assert (settings["server"]["port"], settings["server"]["drain_s"]) == (port, 4.0)
    assert settings["generation"]["max_tokens"] == 7


def test_restart_uses_fresh_settings_and_options_and_start_names_it(running: Server):
    config, port = running.paths.config_file, free_port()
    config.parent.mkdir(parents=True)
    config.write_text("[generation]\nmax_tokens = 7\n")

    noted = running.start()
    with_options = running.start("--port", str(port))
    restarted = running.run("server", "restart", "--port", str(port))

    assert noted.stderr.endswith(
        "warning: settings have changed since it was started; to use them: local-ai server restart\n"
    )
    assert with_options.stderr.endswith(f"to use them: local-ai server restart --port {port}\n")
    assert restarted.returncode == 0, restarted.stderr
    assert f"http://127.0.0.1:{port}/" in restarted.stdout
    assert running.status()["port"] == port
    state = json.loads(running.paths.state_file.read_text())
    assert state["settings"]["generation"]["max_tokens"] == 7


def test_restart_with_wrong_settings_leaves_the_running_server_alone(running: Server):
    pid = running.pid_of(ENGINE)
    config = running.paths.config_file
    config.parent.mkdir(parents=True)
    config.write_text("[generation]\nmax_token = 7\n")

    refused = running.run("server.restart")

    assert refused.returncode == 2
    assert "generation.max_token: unknown key; did you mean generation.max_tokens?" in refused.stderr
    assert running.pid_of(ENGINE) == pid


def test_taken_port_is_named_with_its_owner_and_nothing_is_started(server: Server):
    with socket.create_server(("127.0.0.1", server.port)):
        refused = server.run("server.start")

    name = psutil.Process().name()
    assert refused.returncode == 5
    assert refused.stderr == (
        "error: the server did not start\n"
        f"  why: port {server.port} on 127.0.0.1 is already in use ({name}, pid {os.getpid()})\n"
        f"  fix: stop that program, or choose another port: local-ai server start --port {server.port + 1}\n"
    )
    assert server.processes() == []


def test_two_starts_at_once_make_one_server_also_where_its_folder_needs_a_short_one_for_sockets(
    server: Server,
):
    server.environment["XDG_STATE_HOME"] = str(server.home / ("long" * 30))

    both = [server.popen("server.start") for _ in range(2)]
    outputs = [process.communicate(timeout=scaled(120))[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("already running" in output for output in outputs) == 1
    assert len(server.processes()) == 3
    assert server.paths.socket_dir != server.paths.state_dir
    assert server.supervisorctl("status").returncode == 0
    server.stop()
    assert not server.paths.socket_dir.exists()


def test_stop_wins_over_a_start_under_way(server: Server):
    starting = server.popen("server.start")
    wait_until(lambda: server.paths.supervisor_socket.exists())

    stopped = server.stop()

    output, _ = starting.communicate(timeout=scaled(60))
    assert stopped.stdout == "Stopped.\n"
    assert starting.returncode == 1
    assert "  why: it was stopped while it was starting\n" in output
    assert server.processes() == []


def test_engine_that_keeps_ending_is_stopped_and_explained_until_the_next_start(running: Server):
    for _ in range(3):
        old = wait_until(lambda: engine_pid_of_a_ready(running))
        os.kill(old, signal.SIGKILL)
        wait_until(lambda old=old: engine_pid(running) != old)

    shown = wait_until(lambda: ended(running.run("server.status"), "Failed: the engine stopped\n"))

    assert shown.returncode == 3
    assert (
        "  why: it ended too often and is no longer restarted; it was killed: by a person, a program, or the "
        "system when memory runs out (terminated by SIGKILL)\n" in shown.stdout
    )
    running.start()


def test_supervisord_without_its_socket_is_found_and_replaced(running: Server):
    old = {process.pid for process in running.processes()}
    running.paths.supervisor_socket.unlink()

    running.start()

    assert not old & {process.pid for process in running.processes()}


def test_paused_supervisord_is_told_and_ended_by_force(running: Server):
    (supervisord,) = [p for p in running.processes() if str(running.paths.conf) in p.cmdline()]
    supervisord.suspend()

    shown, stopped = running.run("server.status"), running.run("server.stop")
    forced = running.run("server.stop", "--force")

    assert shown.returncode == 4
    assert shown.stdout.startswith(f"Unknown: supervisord is paused (pid {supervisord.pid})\n")
    assert stopped.returncode == 4
    assert stopped.stderr.startswith(f"error: supervisord is paused (pid {supervisord.pid})\n")
    assert (forced.returncode, forced.stdout) == (0, "Stopped with SIGKILL (as asked).\n")
    assert running.processes() == []


def test_supervisord_that_was_told_to_end_is_said_to_stop(running: Server):
    (supervisord,) = [p for p in running.processes() if str(running.paths.conf) in p.cmdline()]
    psutil.Process(running.pid_of(ENGINE)).suspend()  # so that it takes a while
    supervisord.terminate()

    shown = wait_until(
        lambda: ended(running.run("server.status"), "Stopping: supervisord is ending its programs")
    )

    assert shown.returncode == 4
    assert "  why: it was told to end, by a signal or by a stop from elsewhere\n" in shown.stdout
    running.run("server.stop", "--force")


def test_engine_that_does_not_end_is_killed_and_that_is_said(running: Server):
    psutil.Process(running.pid_of(ENGINE)).suspend()

    stopped = running.run("server.stop", "--timeout", "0.5")

    assert (stopped.returncode, stopped.stdout) == (
        0,
        "Stopped with SIGKILL (it had not ended 0.5 s after SIGTERM).\n",
    )
    assert running.processes() == []


def test_start_that_takes_too_long_says_where_it_is_and_goes_on(server: Server):
    late = server.run("server.start", "--timeout", "0")

    assert late.returncode == 1
    assert late.stderr.splitlines()[-4:][0] != ""
    assert (
        "error: the server was not ready after 0 s; it continues to start in the background\n" in late.stderr
    )
    assert "  why: starting: the engine is " in late.stderr
    wait_until(lambda: server.status()["ready"])


def test_foreground_start_ends_with_its_terminal(server: Server):
    foreground = server.popen("server.start", "--foreground")
    assert foreground.stdout
    lines = iter(foreground.stdout.readline, "")
    assert f"Ready: tiny answers at 127.0.0.1:{server.port}\n" in lines

    foreground.send_signal(signal.SIGINT)
    output, _ = foreground.communicate(timeout=scaled(60))

    assert foreground.returncode == 0, output
    assert server.processes() == []


def test_server_manager_does_the_same_from_python(make_server: Callable[..., Server]):
    server = make_server()
    manager = ServerManager(load_config(port=free_port()), paths=server.paths)

    assert not manager.is_running()
    started = manager.start(startup_timeout=60)
    status = manager.status()

    assert (started.success, started.error, started.pid) == (True, None, status.pid)
    assert (status.running, status.health, status.models, status.host) == (
        True,
        "healthy",
        ("tiny",),
        "127.0.0.1",
    )
    assert manager.stop().success
    assert manager.status().health == "unknown"

"""Situations a server gets into and is not brought down by; each provoked for real.

docs/reliability.md lists them all, with the tests of this folder and of tests/integration/ that provoke them.
"""

from __future__ import annotations

import json
import os
import signal
import site
import urllib.error
import urllib.request
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from tests.server import SCRIPT, Server, wait_until
from tests.waits import scaled

from local_ai.supervision.program import ENGINE, GATEWAY

pytestmark = pytest.mark.integration

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=scaled(20)
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def ask(url: str) -> tuple[int, str]:
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=scaled(60)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def pids(server: Server) -> set[int]:
    return {process.pid for process in server.processes()}


def test_start_with_wrong_settings_leaves_the_running_server_alone(running: Server):
    before = pids(running)
    running.paths.config_file.parent.mkdir(parents=True)
    running.paths.config_file.write_text("[server]\nport = 0\n")

    refused = running.run("server.start")

    assert refused.returncode == 2
    assert pids(running) == before
    assert ask(running.url)[0] == 200


def test_engine_that_cannot_start_is_explained_everywhere_and_the_next_start_clears_it(server: Server):
    broken = server.home / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'local_ai.engine' in sys.orig_argv:\n"
        "    os.write(2, b\"ModuleNotFoundError: No module named 'mlx_lm'\\n\")\n"
        "    os._exit(1)\n"
    )

    refused = server.run("server.start", PYTHONPATH=str(broken))

    why = "the package mlx_lm is missing: uv sync brings it back"
    assert refused.returncode == 1
    assert "error: the engine did not start\n" in refused.stderr
    assert why in refused.stderr
    assert why in server.run("server.status").stdout
    assert why in get(f"{server.url}/", Accept="text/html")[1]
    assert why in get(f"{server.url}/status.json")[1]
    status, answer = ask(server.url)
    assert status == 503
    assert why in json.loads(answer)["error"]["message"]
    (broken / "sitecustomize.py").unlink()
    server.start()
    assert ask(server.url)[0] == 200


def test_interrupted_start_leaves_the_server_to_go_on_and_says_so(server: Server):
    starting = server.popen("server.start")
    assert starting.stdout is not None
    assert "Starting: " in starting.stdout.readline()

    starting.send_signal(signal.SIGINT)
    output, _ = starting.communicate(timeout=scaled(30))

    assert starting.returncode == 130, output
    assert "it continues to start" in output
    wait_until(lambda: server.status()["ready"], timeout_s=60)


def test_start_interrupted_before_the_server_is_up_leaves_nothing_and_says_so(
    make_server: Callable[..., Server],
):
    server = make_server(model=None)  # so that the starter model is prepared first, which takes seconds
    starting = server.popen("server.start")
    assert starting.stdout is not None
    assert "model" in starting.stdout.readline()

    starting.send_signal(signal.SIGINT)
    output, _ = starting.communicate(timeout=scaled(30))

    assert starting.returncode == 130, output
    assert "  why: Ctrl-C before the server was up, so nothing was left running\n" in output
    assert server.processes() == []
    assert server.run("server.status").returncode == 3


@as_root
def test_root_does_not_start_in_another_users_home(server: Server):
    os.chown(server.home, 12345, 12345)

    refused = server.run("server.start")

    assert (refused.returncode, refused.stderr) == (
        2,
        "error: refused to run as root in another user's home\n"
        f"  why: {server.home} belongs to user 12345; files made there by root would lock that user out\n"
        "  fix: run the same command without sudo\n",
    )
    assert not server.paths.state_dir.exists()


@as_root
def test_log_folder_of_another_user_is_refused(server: Server):
    server.paths.logs_dir.mkdir(parents=True)
    os.chown(server.paths.logs_dir, 12345, 12345)

    refused = server.run("server.start")

    assert refused.returncode == 2
    assert f"  why: {server.paths.logs_dir} belongs to another user (12345)\n" in refused.stderr


def test_environment_that_moved_while_running_is_told(make_server: Callable[..., Server], tmp_path: Path):
    server, old, new = make_server(), tmp_path / "old", tmp_path / "new"
    venv.create(old, symlinks=True)
    (packages,) = old.glob("lib/python*/site-packages")
    lines = (f"import site; site.addsitedir({path!r})" for path in site.getsitepackages())
    (packages / "those_of_the_tests.pth").write_text("\n".join(lines))
    started = server.shell(f"{old}/bin/python -m local_ai server start")
    assert started.returncode == 0, started.stderr

    old.rename(new)

    noted = server.shell(f"{new}/bin/python -m local_ai server start")
    assert "to use them: python -m local_ai server restart\n" in noted.stderr
    again = server.shell(f"{new}/bin/python -m local_ai server restart")
    assert again.returncode == 0, again.stderr
    assert json.loads(server.paths.state_file.read_text())["python"] == f"{new}/bin/python"


def test_open_files_that_are_too_few_are_told_with_their_number(make_server: Callable[..., Server]):
    server = make_server()

    refused = server.shell(f"ulimit -n 40; {SCRIPT} server start")

    assert refused.returncode == 1
    assert refused.stderr == (
        "error: the server did not start\n"
        "  why: this shell allows 40 open files (ulimit -n), and it needs 128\n"
        "  fix: open a new shell, or raise the limit there to 1024: ulimit -n 1024\n"
    )


def test_open_files_that_are_few_are_used_as_far_as_they_go(server: Server):
    started = server.shell(f"ulimit -n 128; {SCRIPT} server start")

    assert started.returncode == 0, started.stderr
    assert ask(server.url)[0] == 200


def test_start_while_the_engine_is_being_stopped_by_hand_waits_and_starts_it(running: Server):
    wait_until(lambda: running.status()["programs"][0]["state"] == "RUNNING")
    engine = psutil.Process(running.pid_of(ENGINE))
    engine.suspend()  # so that its stop takes until supervisord kills it
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(running.supervisorctl, "stop", ENGINE)
        wait_until(lambda: running.status()["programs"][0]["state"] == "STOPPING")

        running.start()

        assert "stopped" in stopping.result().stdout
    assert ask(running.url)[0] == 200
    assert not engine.is_running()


def test_paused_gateway_is_told(running: Server):
    gateway = psutil.Process(running.pid_of(GATEWAY))
    gateway.suspend()

    shown = running.run("server.status")

    assert shown.returncode == 3
    assert "the gateway" in shown.stdout.splitlines()[0]
    gateway.resume()
    wait_until(lambda: running.run("server.status").returncode == 0)
    assert running.pid_of(GATEWAY) == gateway.pid


def test_everything_killed_at_once_is_as_good_as_a_power_cut(running: Server):
    """Its files stay, and by the next start a pid in them may be another program's: here, of these tests."""
    for process in running.processes():
        process.kill()
    wait_until(lambda: not running.processes())
    running.paths.supervisord_pid.write_text(str(os.getpid()))

    shown = running.run("server.status")
    running.start()

    assert (shown.returncode, shown.stdout.splitlines()[0]) == (3, "Stopped: the server is not running")
    assert ask(running.url)[0] == 200

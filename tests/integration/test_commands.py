"""The commands that start nothing: settings and logs."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from tests.server import SCRIPT, Server, wait_until
from tests.waits import scaled

from local_ai.settings.edit import example_text

CHECKOUT = Path(__file__).parents[2]

pytestmark = pytest.mark.integration


def test_config_show_tells_where_each_value_came_from(server: Server):
    file = server.paths.config_file
    file.parent.mkdir(parents=True)
    file.write_text("[generation]\ntop_k = 5\n")

    shown = json.loads(server.run("config.show", "--json").stdout)
    table = server.run("config").stdout

    assert shown["generation.top_k"] == {"value": 5, "origin": str(file)}
    assert shown["server.port"] == {"value": server.port, "origin": "LOCAL_AI_SERVER__PORT"}
    assert shown["server.host"] == {"value": "127.0.0.1", "origin": "default"}
    assert table.splitlines()[0].split() == ["KEY", "VALUE", "FROM"]
    assert len(table.splitlines()) == len(shown) + 1


def test_config_init_writes_the_example_once(server: Server):
    first, second = server.run("config", "init"), server.run("config", "init")

    file = server.paths.config_file
    assert (first.returncode, first.stdout) == (0, f"Written: {file}\n")
    assert file.read_text() == example_text()
    assert second.returncode == 2
    assert "it is not overwritten" in second.stderr
    assert server.run("config.check").stdout == f"The settings are valid ({file}).\n"


def test_logs_show_the_last_lines_of_a_program(server: Server):
    log = server.paths.log("welcome-page")
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\nthree\n")

    shown = server.run("server", "logs", "--program", "welcome-page", "--lines", "2")

    assert shown.stdout == "two\nthree\n"


def test_logs_follow_what_is_written_and_end_with_ctrl_c(server: Server):
    log = server.paths.log("welcome-page")
    log.parent.mkdir(parents=True)
    log.write_text("old\n")

    following = server.popen("server.logs", "--program", "welcome-page", "--follow")
    assert following.stdout is not None
    assert following.stdout.readline() == "old\n"
    log.rename(log.with_suffix(".log.1"))
    log.write_text("new\n")

    assert following.stdout.readline() == "new\n"
    following.send_signal(2)
    assert following.wait(timeout=scaled(20)) == 130
    assert "Traceback" not in following.stdout.read()


def test_commands_work_from_any_folder_and_in_both_spellings(server: Server):
    dotted, spaced = server.run("server.status"), server.run("server", "status")

    assert (dotted.returncode, dotted.stdout) == (spaced.returncode, spaced.stdout)


def test_commands_work_in_a_folder_that_was_deleted(server: Server):
    folder = server.home / "deleted"
    folder.mkdir()

    checked = server.shell(f"cd {folder} && rmdir {folder} && {SCRIPT} config check")
    shown = server.shell(f"mkdir {folder} && cd {folder} && rmdir {folder} && {SCRIPT} server status")

    assert (checked.returncode, checked.stderr) == (0, "")
    assert (shown.returncode, shown.stdout.splitlines()[0]) == (3, "Stopped: the server is not running")


def test_status_looks_even_when_the_settings_are_broken(running: Server):
    file = running.paths.config_file
    file.parent.mkdir(parents=True)
    file.write_text("[server\n")

    assert running.run("server.status").returncode == 0
    assert running.stop().returncode == 0
    wait_until(lambda: not running.processes())


@pytest.mark.parametrize(
    "words", ["config.show", "server.start --help", ""], ids=["result", "help", "commands"]
)
def test_reader_that_has_seen_enough_is_no_error(server: Server, words: str):
    done = server.shell(f"{SCRIPT} {words} | head -n 1")

    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_reader_that_has_seen_enough_is_no_error_under_inv_either(server: Server):
    done = server.shell(f"{SCRIPT.parent / 'inv'} --search-root {CHECKOUT} config.show | head -n 1")

    assert done.stderr == ""
    assert done.stdout.split() == ["KEY", "VALUE", "FROM"]


@pytest.mark.parametrize("moment", ["conf", "supervisor_socket"])
def test_foreground_start_that_is_not_ready_ends_by_sigterm_as_wanted(server: Server, moment: str):
    foreground = server.popen("server.start", "--foreground")
    wait_until(lambda: getattr(server.paths, moment).exists())

    foreground.send_signal(signal.SIGTERM)
    output, _ = foreground.communicate(timeout=scaled(60))

    assert foreground.returncode == 0, output
    assert output.splitlines()[-1] == "Stopped."
    assert "Ctrl-C" not in output
    assert server.processes() == []


@pytest.mark.parametrize("force", [False, True], ids=["stop", "stop --force of one that hangs"])
def test_foreground_start_that_is_stopped_from_elsewhere_before_it_is_ready_ends_as_wanted(
    server: Server, force: bool
):
    foreground = server.popen("server.start", "--foreground")
    wait_until(server.paths.supervisor_socket.exists)
    if force:
        wait_until(server.paths.supervisord_pid.exists)
        psutil.Process(int(wait_until(server.paths.supervisord_pid.read_text))).suspend()

    stopped = server.run("server.stop", *(["--force"] if force else []))
    output, _ = foreground.communicate(timeout=scaled(60))

    assert stopped.returncode == 0, stopped.stderr
    assert foreground.returncode == 0, output  # a service starts it again after any other code
    assert output.splitlines()[-1] == "Stopped."
    assert server.processes() == []


def test_lines_of_one_request_share_its_id_and_a_stopped_answer_has_its_tokens(
    make_server: Callable[..., Server], endless_model: Path
):
    server = make_server(model=endless_model)
    server.start()
    body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 3000, "stream": True}
    url = f"{server.url}/v1/chat/completions"

    with httpx.stream(
        "POST", url, json=body, headers={"x-request-id": "mine-1"}, timeout=scaled(60)
    ) as answer:
        lines = answer.iter_lines()
        while '"content"' not in next(lines):
            pass

    def of(program: str) -> list[dict[str, str]]:
        shown = server.run("logs", "--program", program, "--json").stdout
        return [line for line in map(json.loads, shown.splitlines()) if line["request_id"] == "mine-1"]

    (gateway,) = wait_until(lambda: of("gateway"))
    (engine,) = wait_until(lambda: of("engine"))
    assert gateway["message"].startswith("POST /v1/chat/completions: client left, ")
    assert engine["message"].endswith(" outcome=client left")
    assert " out=0 " not in engine["message"]
    assert (engine["program"], engine["level"]) == ("mlx-omni-server", "INFO")

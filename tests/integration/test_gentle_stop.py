"""A stop lets running answers finish, refuses new ones meanwhile, and says what became of them."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.server import Server, wait_until
from tests.waits import scaled

from local_ai.supervision.program import ENGINE

pytestmark = pytest.mark.integration


class Asked:
    """A streamed answer, read in the background."""

    def __init__(self, server: Server, tokens: int) -> None:
        self.text = ""
        self._body = {"prompt": "Once upon a time", "max_tokens": tokens, "stream": True}
        self._url = f"{server.url}/v1/completions"
        self._thread = threading.Thread(target=self._read)

    @contextmanager
    def running(self) -> Iterator[Asked]:
        self._thread.start()
        wait_until(lambda: "data: " in self.text)
        yield self
        self._thread.join(60)

    def _read(self) -> None:
        with (
            suppress(httpx.RemoteProtocolError),  # by force, it ends in the middle
            httpx.stream("POST", self._url, json=self._body, timeout=scaled(60)) as answer,
        ):
            for chunk in answer.iter_text():
                self.text += chunk


@pytest.fixture
def slow_server(make_server: Callable[..., Server], starter_model: Path) -> Callable[..., Server]:
    """A server whose answers take some seconds."""

    def make(*, drain_s: str) -> Server:
        return make_server(model=starter_model, LOCAL_AI_SERVER__DRAIN_S=drain_s)

    return make


def last_event(text: str) -> str:
    return text.strip().rpartition("\n\n")[2]


def test_stop_waits_for_running_answers(slow_server: Callable[..., Server]) -> None:
    server = slow_server(drain_s="60")
    server.start()

    with Asked(server, tokens=60).running() as asked:
        stopped = server.stop()

    assert stopped.stdout == "Stopped. 1 running answer finished first.\n"
    assert stopped.stderr == "Waiting for 1 running answer to finish (Ctrl-C cuts off)\n"
    assert last_event(asked.text) == "data: [DONE]"
    assert server.processes() == []


def test_new_requests_are_refused_while_answers_finish(slow_server: Callable[..., Server]) -> None:
    server = slow_server(drain_s="60")
    server.start()

    with Asked(server, tokens=100).running():
        stopping = server.popen("server.stop")
        refused = wait_until(lambda: (answer := ask(server)).status_code == 503 and answer)
        shown = httpx.get(f"{server.url}/queue.json").json()
        said = server.status()["verdict"]["sentence"]
        output, _ = stopping.communicate(timeout=scaled(60))

    assert refused.headers["retry-after"] == "5"
    assert refused.json()["error"]["code"] == "stopping"
    assert (shown["running"], shown["is_closed"]) == (1, True)
    assert said == "Stopping: 1 running answer finishes first, nothing new is taken"
    assert "finished first" in output


def test_answers_that_take_longer_are_cut_with_an_error_event(slow_server: Callable[..., Server]) -> None:
    server = slow_server(drain_s="0.2")
    server.start()

    with Asked(server, tokens=4000).running() as asked:
        stopped = server.stop()

    assert stopped.stdout == "Stopped. 1 running answer cut off.\n"
    error = json.loads(last_event(asked.text).removeprefix("data: "))["error"]
    assert error["code"] == "stopping"


def test_ctrl_c_in_a_restart_cuts_running_answers_off_and_restarts(slow_server: Callable[..., Server]):
    server = slow_server(drain_s="60")
    server.start()

    with Asked(server, tokens=4000).running():
        restarting = server.popen("server.restart")
        assert restarting.stdout is not None
        line = next(line for line in restarting.stdout if "Waiting for" in line)
        os.killpg(restarting.pid, signal.SIGINT)  # as a terminal does: to all that the command started
        output, _ = restarting.communicate(timeout=scaled(120))

    assert line == "Waiting for 1 running answer to finish (Ctrl-C cuts off)\n"
    assert restarting.returncode == 0, output
    assert "1 running answer cut off.\n" in output
    assert server.status()["ready"]


def test_stop_by_force_says_what_it_cut_off(slow_server: Callable[..., Server]) -> None:
    server = slow_server(drain_s="60")
    server.start()

    with Asked(server, tokens=4000).running():
        stopped = server.run("server.stop", "--force")

    assert stopped.stdout == "Stopped with SIGKILL (as asked). 1 running answer cut off.\n"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/anthropic/v1/messages", "/v1/responses"])
def test_whole_answers_that_take_longer_are_refused_in_words(
    slow_server: Callable[..., Server], path: str
) -> None:
    server = slow_server(drain_s="0.2")
    server.start()
    content = [{"role": "user", "content": "Write a long story."}]
    body = {"messages" if "responses" not in path else "input": content}
    length = "max_output_tokens" if "responses" in path else "max_tokens"

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.post, f"{server.url}{path}", json=body | {length: 4000}, timeout=scaled(60))
        wait_until(lambda: httpx.get(f"{server.url}/queue.json").json()["running"])
        server.stop()

    assert asked.result().status_code == 503
    assert "the server is stopping" in asked.result().json()["error"]["message"]
    assert "Traceback" not in server.paths.log(ENGINE).read_text()


def ask(server: Server) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/completions", json={"prompt": "a", "max_tokens": 1}, timeout=scaled(60)
    )

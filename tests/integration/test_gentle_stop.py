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
from typing import Any

import httpx
import pytest
from tests.server import Server, wait_until
from tests.waits import NO_TLS, scaled

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
def slow_server(make_server: Callable[..., Server], endless_model: Path) -> Callable[..., Server]:
    """A server whose answers take some seconds, started."""

    def make(*, drain_s: str) -> Server:
        server = make_server(model=endless_model, LOCAL_AI_SERVER__DRAIN_S=drain_s)
        server.start()
        return server

    return make


def last_event(text: str) -> str:
    return text.strip().rpartition("\n\n")[2]


def test_stop_waits_for_running_answers_and_refuses_new_ones(slow_server: Callable[..., Server]) -> None:
    server = slow_server(drain_s="60")

    with Asked(server, tokens=3500).running() as asked:
        stopping = server.popen("server.stop")
        shown = wait_until(lambda: (queue := queue_of(server))["is_closed"] and queue)
        refused = ask(server)
        said = server.status()["verdict"]["sentence"]
        output, _ = stopping.communicate(timeout=scaled(60))

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["error"]["code"] == "stopping"
    assert shown["running"] == 1
    assert said == "Stopping: 1 running answer finishes first; new requests are refused"
    assert output.splitlines() == [
        "Waiting for 1 running answer to finish (Ctrl-C cuts them off)",
        "Stopped. 1 running answer finished first.",
    ]
    assert last_event(asked.text) == "data: [DONE]"
    assert server.processes() == []


def test_answers_that_take_longer_are_cut_with_an_error(slow_server: Callable[..., Server]) -> None:
    """A stream ends with an error event, a whole answer is refused in words, in each dialect."""
    server = slow_server(drain_s="0.2")
    talk = [{"role": "user", "content": "Write a long story."}]
    bodies = {
        "/v1/chat/completions": {"messages": talk, "max_tokens": 4000},
        "/anthropic/v1/messages": {"messages": talk, "max_tokens": 4000},
        "/v1/responses": {"input": talk, "max_output_tokens": 4000},
    }

    def post(path: str) -> httpx.Response:
        return httpx.post(f"{server.url}{path}", json=bodies[path], timeout=scaled(60))

    with ThreadPoolExecutor(3) as pool, Asked(server, tokens=4000).running() as asked:
        whole = [pool.submit(post, path) for path in bodies]
        wait_until(lambda: queue_of(server)["running"] == 4)
        stopped = server.stop()

    assert stopped.stdout == "Stopped. 4 running answers cut off.\n"
    error = json.loads(last_event(asked.text).removeprefix("data: "))["error"]
    assert error["code"] == "stopping"
    assert [answer.result().status_code for answer in whole] == [503, 503, 503]
    for answer in whole:
        assert "the server is stopping" in answer.result().json()["error"]["message"]
    assert "Traceback" not in server.paths.log(ENGINE).read_text()


def test_ctrl_c_in_a_restart_and_a_stop_by_force_cut_running_answers_off(
    slow_server: Callable[..., Server],
) -> None:
    server = slow_server(drain_s="60")

    with Asked(server, tokens=4000).running():
        restarting = server.popen("server.restart")
        assert restarting.stdout is not None
        line = next(line for line in restarting.stdout if "Waiting for" in line)
        os.killpg(restarting.pid, signal.SIGINT)  # as a terminal does: to all that the command started
        output, _ = restarting.communicate(timeout=scaled(120))

    assert line == "Waiting for 1 running answer to finish (Ctrl-C cuts them off)\n"
    assert restarting.returncode == 0, output
    assert "1 running answer cut off.\n" in output
    assert server.status()["ready"]

    with Asked(server, tokens=4000).running():
        stopped = server.run("server.stop", "--force")

    assert stopped.stdout == "Stopped with SIGKILL (as asked). 1 running answer cut off.\n"


def queue_of(server: Server) -> dict[str, Any]:
    queue: dict[str, Any] = httpx.get(f"{server.url}/queue.json", verify=NO_TLS).json()
    return queue


def ask(server: Server) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/completions", json={"prompt": "a", "max_tokens": 1}, timeout=scaled(60)
    )

"""What becomes of requests when something is killed under them: nothing is lost that could be answered."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server import Server, end, free_port, wait_until
from tests.waits import NO_TLS, scaled

from local_ai.supervision.program import ENGINE, GATEWAY

pytestmark = pytest.mark.integration

OPENAI, ANTHROPIC = "/v1/chat/completions", "/anthropic/v1/messages"
_LONG = 4000  # tokens: still being generated when the engine is killed


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory, endless_model: Path) -> Iterator[Server]:
    """A server whose answers take as long as they may, two at a time; not started yet."""
    server = Server(tmp_path_factory.mktemp("s"), free_port(), {"LOCAL_AI_GATEWAY__MAX_CONCURRENCY": "2"})
    server.paths.models_dir.mkdir(parents=True)
    (server.paths.models_dir / endless_model.name).symlink_to(endless_model)
    yield server
    end(server)


@pytest.fixture
def running(endless: Server) -> Server:
    """The same, ready; anew where its engine has ended twice: after the third time it would stay so."""
    if endless.status()["running"] and restarts_of(endless) > 1:
        endless.stop()
    endless.start()
    return endless


def body(text: str, *, tokens: int, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": tokens, **more}


@contextmanager
def asking(server: Server, count: int, *, tokens: int) -> Iterator[list[Future[httpx.Response]]]:
    """So many requests at once, each new, of both families in turn."""
    with httpx.Client(base_url=server.url, timeout=scaled(120)) as client, ThreadPoolExecutor(count) as pool:
        yield [
            pool.submit(
                client.post, (OPENAI, ANTHROPIC)[number % 2], json=body(f"ask {number}", tokens=tokens)
            )
            for number in range(count)
        ]


def queue(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/queue.json", verify=NO_TLS).json()
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_engine_ended_from_outside_is_restarted_and_costs_no_request(running: Server, number: signal.Signals):
    engine, restarts = running.pid_of(ENGINE), restarts_of(running)

    with asking(running, 12, tokens=200) as answers:
        wait_until(lambda: queue(running)["running"])
        os.kill(engine, number)

    assert [answer.result().status_code for answer in answers] == [200] * 12
    assert running.pid_of(ENGINE) != engine
    assert restarts_of(running) == restarts + 1
    assert running.status()["ready"]


def restarts_of(server: Server) -> int:
    (restarts,) = [row["restarts"] for row in server.status()["programs"] if row["name"] == ENGINE]
    assert isinstance(restarts, int)
    return restarts


def test_engine_restarted_by_hand_costs_no_request_that_has_not_begun(running: Server):
    """Its answers take longer than it is given to finish them."""
    engine = running.pid_of(ENGINE)

    with asking(running, 2, tokens=2500) as answers:
        wait_until(lambda: queue(running)["running"] == 2)
        running.supervisorctl("restart", ENGINE)

    assert [answer.result().status_code for answer in answers] == [200] * 2
    assert running.pid_of(ENGINE) != engine
    log = running.paths.log(ENGINE).read_text()
    assert "client left" in log and "Traceback" not in log


def test_streams_cut_by_a_killed_engine_end_with_an_error_event_in_each_dialect(running: Server):
    engine = running.pid_of(ENGINE)
    asked = body("go on", tokens=_LONG, stream=True)

    with (
        httpx.Client(base_url=running.url, timeout=scaled(60)) as client,
        client.stream("POST", OPENAI, json=asked) as openai,
        client.stream("POST", ANTHROPIC, json=asked) as anthropic,
    ):
        of_openai, of_anthropic = openai.iter_lines(), anthropic.iter_lines()
        assert next(line for line in of_openai if '"content"' in line)
        assert next(line for line in of_anthropic if '"text_delta"' in line)
        os.kill(engine, signal.SIGKILL)
        ends = [[line for line in lines if line][-2:] for lines in (of_openai, of_anthropic)]

    for _, last in ends:
        error = json.loads(last.removeprefix("data: "))
        assert error["source"] == "gateway"
        assert error["error"]["message"].startswith("the engine ended before its answer was whole: ")
    assert [before == "event: error" for before, _ in ends] == [False, True]


def test_killed_supervisord_ends_a_busy_server_in_words_and_leaves_nothing(running: Server):
    (supervisord,) = [p for p in running.processes() if str(running.paths.conf) in p.cmdline()]
    with (
        httpx.Client(base_url=running.url, timeout=scaled(60)) as client,
        client.stream("POST", OPENAI, json=body("go on", tokens=_LONG, stream=True)) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines)

        supervisord.kill()

        rest = [line for line in lines if line]

    last = rest[-1].removeprefix("data: ")
    assert last == "[DONE]" or json.loads(last)["source"] == "gateway"
    wait_until(lambda: not running.processes())


def test_killed_gateway_leaves_the_engine_free_for_what_is_asked_next(running: Server):
    """Its clients see a lost connection, as SDKs retry it; the engine ends the answer that nobody hears."""
    engine, gateway, log = running.pid_of(ENGINE), running.pid_of(GATEWAY), running.paths.log(ENGINE)
    before = log.read_text().count("outcome=client left")
    with (
        httpx.Client(base_url=running.url, timeout=scaled(60)) as client,
        client.stream("POST", OPENAI, json=body("go on", tokens=_LONG, stream=True)) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines)
        os.kill(gateway, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            list(lines)

    wait_until(lambda: log.read_text().count("outcome=client left") > before)
    wait_until(lambda: answers(running))
    assert (running.pid_of(ENGINE), running.status()["ready"]) == (engine, True)
    assert running.pid_of(GATEWAY) != gateway
    assert queue(running)["running"] == 0


def answers(server: Server) -> bool:
    try:
        return httpx.post(
            f"{server.url}{OPENAI}", json=body("again", tokens=2), timeout=scaled(30)
        ).is_success
    except httpx.TransportError:
        return False

"""What becomes of requests when something is killed under them: nothing is lost that could be answered."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server import Server, wait_until
from tests.waits import scaled

from local_ai.supervision.program import ENGINE, GATEWAY

pytestmark = pytest.mark.integration

OPENAI, ANTHROPIC = "/v1/chat/completions", "/anthropic/v1/messages"
_LONG = 4000  # tokens: still being generated when the engine is killed


@pytest.fixture
def running(make_server: Callable[..., Server], endless_model: Path) -> Server:
    """A server that is ready, and whose answers take as long as they may."""
    server = make_server(model=endless_model)
    server.start()
    return server


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
    found: dict[str, Any] = httpx.get(f"{server.url}/queue.json").json()
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_engine_ended_from_outside_is_restarted_and_costs_no_request(
    make_server: Callable[..., Server], number: signal.Signals
):
    server = make_server(LOCAL_AI_GATEWAY__MAX_CONCURRENCY="2")
    server.start()
    engine = server.pid_of(ENGINE)

    with asking(server, 24, tokens=200) as answers:
        wait_until(lambda: queue(server)["running"])
        os.kill(engine, number)

    assert [answer.result().status_code for answer in answers] == [200] * 24
    assert server.pid_of(ENGINE) != engine
    assert [row["restarts"] for row in server.status()["programs"] if row["name"] == ENGINE] == [1]


def test_engine_restarted_by_hand_costs_no_request_that_has_not_begun(
    make_server: Callable[..., Server], starter_model: Path
):
    """Its answers take longer than it is given to finish them."""
    server = make_server(model=starter_model)
    server.start()
    engine = server.pid_of(ENGINE)

    with asking(server, 2, tokens=60) as answers:
        wait_until(lambda: queue(server)["running"] == 2)
        server.supervisorctl("restart", ENGINE)

    assert [answer.result().status_code for answer in answers] == [200] * 2
    assert server.pid_of(ENGINE) != engine
    log = server.paths.log(ENGINE).read_text()
    assert "client left" in log and "Traceback" not in log


@pytest.mark.parametrize("path", [OPENAI, ANTHROPIC])
def test_stream_cut_by_a_killed_engine_ends_with_an_error_event(running: Server, path: str):
    engine = running.pid_of(ENGINE)

    with (
        httpx.Client(base_url=running.url, timeout=scaled(60)) as client,
        client.stream("POST", path, json=body("go on", tokens=_LONG, stream=True)) as answer,
    ):
        lines = answer.iter_lines()
        assert next(line for line in lines if '"text_delta"' in line or '"content"' in line)
        os.kill(engine, signal.SIGKILL)
        rest = [line for line in lines if line]

    last = json.loads(rest[-1].removeprefix("data: "))
    assert last["source"] == "gateway"
    assert last["error"]["message"].startswith("the engine ended before its answer was whole: ")
    assert (rest[-2:-1] == ["event: error"]) == (path == ANTHROPIC)


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
    """Its clients see a lost connection, as SDKs retry it; the engine does not work on for nobody."""
    engine, gateway = running.pid_of(ENGINE), running.pid_of(GATEWAY)
    with (
        httpx.Client(base_url=running.url, timeout=scaled(60)) as client,
        client.stream("POST", OPENAI, json=body("go on", tokens=_LONG, stream=True)) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines)
        os.kill(gateway, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            list(lines)

    wait_until(lambda: answers(running))
    assert running.pid_of(ENGINE) == engine
    assert queue(running)["running"] == 0


def answers(server: Server) -> bool:
    try:
        return httpx.post(
            f"{server.url}{OPENAI}", json=body("again", tokens=2), timeout=scaled(30)
        ).is_success
    except httpx.TransportError:
        return False

"""The gateway as a process: starting, stopping, a port that is taken, an owner that is gone."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest
from tests.gateway.fakes import make_patient_state
from tests.gateway.running import output_of, running_gateway, wait_for_answer
from tests.waits import scaled

from local_ai.settings.state import State

pytestmark = pytest.mark.integration


@pytest.fixture
def state(tmp_path: Path) -> State:
    return make_patient_state(tmp_path, wait_s=60)


def url_of(state: State) -> str:
    return f"http://127.0.0.1:{state.settings.server.port}"


def test_process_serves_the_page_and_ends_on_sigterm(state: State) -> None:
    with running_gateway(state) as process:
        assert "local-ai" in wait_for_answer(url_of(state)).text

        process.send_signal(signal.SIGTERM)
        output = output_of(process, timeout_s=5)

    assert process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in output


def test_process_ends_at_once_with_log_streams_open_and_requests_waiting(state: State) -> None:
    with running_gateway(state) as process:
        wait_for_answer(url_of(state))
        with (
            httpx.Client(base_url=url_of(state)) as client,
            client.stream("GET", "/logs/supervisord/stream") as log,
        ):
            assert next(log.iter_lines()) == "event: start"
            process.send_signal(signal.SIGTERM)
            output = output_of(process, timeout_s=2)

    assert "Traceback" not in output


def test_taken_port_is_told_plainly(state: State) -> None:
    with socket.create_server(("127.0.0.1", state.settings.server.port)), running_gateway(state) as process:
        output = output_of(process, timeout_s=20)

    assert process.returncode == 3
    assert output == (
        "error: the gateway did not start\n"
        f"  why: 127.0.0.1:{state.settings.server.port} cannot be listened on: Address already in use\n"
        "  fix: stop what uses that port, or set server.port in config.toml, then run: "
        "local-ai server start\n"
    )


def test_process_ends_when_its_owner_is_gone(state: State) -> None:
    with running_gateway(state) as process:
        wait_for_answer(url_of(state))
        assert process.stdin is not None

        process.stdin.close()

        process.stdin = None
        try:
            process.wait(timeout=scaled(5))
        except subprocess.TimeoutExpired:
            pytest.fail("it goes on without an owner")


def test_prompts_and_keys_are_not_in_the_log(state: State) -> None:
    with running_gateway(state) as process:
        wait_for_answer(url_of(state))
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{url_of(state)}/v1/chat/completions?key=tell-nobody",
                json={"messages": [{"role": "user", "content": "tell-nobody"}]},
                headers={"Authorization": "Bearer tell-nobody"},
                timeout=1,
            )
        assert process.stdout is not None
        log = list(_lines_up_to(process.stdout, "POST "))

    assert "POST /v1/chat/completions: client left" in log[-1]
    assert "tell-nobody" not in "".join(log)


def _lines_up_to(log: IO[str], words: str) -> Iterator[str]:
    for line in log:
        yield line
        if words in line:
            return

"""Speech, transcription and images: refused in words where they are not there, else held until they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.gateway.fakes import (
    FakeEngine,
    FakeSupervisord,
    Gateway,
    make_patient_state,
    run_engine,
    run_gateway,
)
from tests.server import wait_until
from tests.tiny_model import make_tiny_model
from tests.waits import scaled

from local_ai.settings.state import State
from local_ai.status.health import RequestState
from local_ai.supervision.omni import IMAGES, PARTS, TRANSCRIPTION, Part, omni_python, record_parts

SOUND = {"files": {"file": ("a.wav", b"sound")}, "data": {"model": "whisper"}}
NO_SUCH = "no-such-model"


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = make_patient_state(tmp_path, wait_s=1)
    make_tiny_model(state.paths.models_dir / "whisper")
    return state


@pytest.fixture
def with_part(state: State) -> State:
    return replace(state, omni_parts=(TRANSCRIPTION.name,))


@pytest.fixture
def supervisord(state: State) -> Iterator[FakeSupervisord]:
    with FakeSupervisord(state.paths.supervisor_socket).run() as fake:
        yield fake


def ask(gateway: Gateway) -> httpx.Response:
    return httpx.post(f"{gateway.url}{TRANSCRIPTION.path}", timeout=scaled(20), **SOUND)  # type: ignore[arg-type]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_that_is_not_installed_names_the_command(part, state: State):
    body = {"json": {"model": "whisper"}} if part is not TRANSCRIPTION else SOUND

    with run_gateway(state) as gateway:
        answer = httpx.post(f"{gateway.url}{part.path}", timeout=scaled(20), **body)

    error = answer.json()["error"]
    assert "retry-after" not in answer.headers
    assert answer.headers["x-should-retry"] == "false"
    if sys.platform in part.platforms:
        assert (answer.status_code, error["code"]) == (503, "not_installed")
        assert error["message"] == (
            f"{part.path} is not answered: {part.name} is not installed. To fix it: "
            f"local-ai omni install {part.name}, then: local-ai server restart"
        )
    else:
        assert (answer.status_code, error["code"]) == (501, "not_implemented")
        assert error["message"] == (
            f"{part.path} is not answered: speech needs Metal, which only a Mac has (its library vocos-mlx "
            "says so when imported). To fix it: use a Mac with Apple Silicon, or leave this request out"
        )


@pytest.mark.parametrize("is_installed", [True, False], ids=["installed", "not installed"])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_model_that_is_not_here_is_told_like_everywhere(part: Part, is_installed: bool, state: State):
    body = {"data" if part is TRANSCRIPTION else "json": {"model": NO_SUCH}}
    files = {"files": SOUND["files"]} if part is TRANSCRIPTION else {}
    served = replace(state, omni_parts=(part.name,) if is_installed else ())

    with run_gateway(served) as gateway:
        answer = httpx.post(f"{gateway.url}{part.path}", timeout=scaled(20), **body, **files)  # type: ignore[arg-type]

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert error["message"].startswith(
        f"the model '{NO_SUCH}' is not there: no model on this machine has that name"
    )
    # Without the part, a download would not be enough.
    assert (part.name in error["message"]) is not is_installed


def test_images_of_no_model_want_the_routers_own(state: State):
    served = replace(state, omni_parts=(IMAGES.name,))

    with run_gateway(served) as gateway:
        answer = httpx.post(f"{gateway.url}{IMAGES.path}", timeout=scaled(20), json={"prompt": "a cat"})

    assert answer.status_code == 404
    assert f"the model '{IMAGES.default_model}' is not there" in answer.json()["error"]["message"]


def test_a_part_that_was_installed_since_the_start_names_the_restart(state: State):
    python = omni_python(state.paths)
    python.parent.mkdir(parents=True)
    python.touch()
    record_parts(state.paths, [TRANSCRIPTION.name])

    with run_gateway(state) as gateway:
        error = ask(gateway).json()["error"]

    assert error["message"] == (
        "/v1/audio/transcriptions is not answered: transcription was installed after the server started. "
        "To fix it: local-ai server restart"
    )


def test_a_request_waits_for_the_program_to_listen(tmp_path: Path):
    state = replace(make_patient_state(tmp_path, wait_s=20), omni_parts=(TRANSCRIPTION.name,))
    make_tiny_model(state.paths.models_dir / "whisper")

    with (
        run_gateway(state) as gateway,
        ThreadPoolExecutor() as pool,
        FakeSupervisord(state.paths.supervisor_socket).run(),
    ):
        asked = pool.submit(ask, gateway)
        wait_until(
            lambda: any(
                one.state is RequestState.HELD for one in gateway.context.forwarding.request_queue.requests()
            )
        )
        with run_engine(FakeEngine(), state.paths.omni_socket) as program:
            answer = asked.result(20)

    assert answer.status_code == 200
    assert b"sound" in program.requests[0]["raw"]


def test_a_program_that_does_not_come_up_is_told_after_the_wait(
    with_part: State, supervisord: FakeSupervisord
):
    supervisord.states["omni"] = "RUNNING"

    with run_gateway(with_part) as gateway:
        answer = ask(gateway)

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "omni_down"


@pytest.mark.parametrize("program_state", ["FATAL", "STOPPED"])
def test_a_failed_program_is_told_at_once_and_leaves_text_alone(
    with_part: State, supervisord: FakeSupervisord, program_state: str
):
    supervisord.states["omni"] = program_state

    with run_engine(FakeEngine(), with_part.paths.engine_socket), run_gateway(with_part) as gateway:
        answer = ask(gateway)
        chat = httpx.post(
            f"{gateway.url}/v1/chat/completions", json={"model": "tiny", "messages": []}, timeout=20
        )
        ready = httpx.get(f"{gateway.url}/readyz", timeout=scaled(20))

    assert answer.status_code == 503
    assert answer.json()["error"]["message"].startswith("the program omni cannot answer: ")
    assert (chat.status_code, ready.status_code) == (200, 200)

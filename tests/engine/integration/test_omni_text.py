"""MLX Omni Server's own text routers, where the settings ask for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.running import RunningEngine, running_engine
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.integration

ASK = {"model": "plain", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


def fill(folder: Path) -> None:
    make_tiny_model(folder / "plain")


@pytest.fixture(scope="module")
def omni() -> Iterator[RunningEngine]:
    settings = {"engine": {"text": "mlx-omni-server"}, "generation": {"max_tokens": 3}}
    with running_engine(fill, settings | {"aliases": {"gpt-4o": "default"}}) as engine:
        yield engine


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/anthropic/v1/messages"])
def test_an_answer_names_the_model_as_the_client_did(omni: RunningEngine, path: str):
    answer = omni.post(path, ASK)

    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "plain"
    assert str(omni.paths.models_dir) not in answer.text


@pytest.mark.parametrize(("named", "shown"), [({}, "plain"), ({"model": "gpt-4o"}, "gpt-4o")])
def test_the_settings_speak_where_a_request_is_silent(omni: RunningEngine, named: dict[str, str], shown: str):
    messages = named | {"messages": ASK["messages"]}

    chat = omni.post("/v1/chat/completions", messages).json()
    newer = omni.post("/v1/chat/completions", messages | {"max_completion_tokens": 9, "seed": 1}).json()
    message = omni.post("/anthropic/v1/messages", messages).json()

    assert chat["model"] == message["model"] == shown
    assert chat["usage"]["completion_tokens"] <= 3
    assert message["usage"]["output_tokens"] <= 3
    assert newer["choices"]


def test_every_event_names_the_model_as_the_client_did(omni: RunningEngine):
    chunks = omni.events("/v1/chat/completions", ASK)
    messages = omni.events("/anthropic/v1/messages", ASK)

    assert {chunk["model"] for chunk in chunks} == {"plain"}
    assert messages[0]["message"]["model"] == "plain"
    assert str(omni.paths.models_dir) not in json.dumps([chunks, messages])


def test_health_counts_a_running_answer(omni: RunningEngine):
    seen = threading.Event()

    def ask() -> None:
        while not seen.is_set():  # its answers are drawn, and some are short
            omni.post("/v1/chat/completions", ASK | {"max_tokens": 500})

    asking = threading.Thread(target=ask)

    asking.start()
    try:
        busy = omni.wait(lambda health: health["running"] == 1)
    finally:
        seen.set()
        asking.join()
    ready = omni.wait(lambda health: health["running"] == 0)

    assert (busy["state"], busy["text"]) == ("busy", "mlx-omni-server")
    assert ready["state"] == "ready"

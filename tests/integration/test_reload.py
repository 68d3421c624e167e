"""Settings change while a real server runs, and no answer is lost."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest
from tests.server import Server, wait_until
from tests.waits import scaled

pytestmark = pytest.mark.integration

ENDLESS = {"2": -100, "0": -100}  # the tiny model's ends of a text


def write(server: Server, text: str) -> None:
    file = server.paths.config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def ask(server: Server, model: str = "tiny", key: str = "first-key-1", **fields: Any) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/chat/completions",
        json={
            "model": model,
            "messages": [{"role": "user", "content": "hello"}],
            "logit_bias": ENDLESS,
        }
        | fields,
        headers={"Authorization": f"Bearer {key}"},
        timeout=scaled(60),
    )


def tokens(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    return int(answer.json()["usage"]["completion_tokens"])


BEFORE = """
server.api_keys = ["first-key-1"]
model.path = "tiny"
generation.max_tokens = 4
"""
AFTER = """
server.api_keys = ["other-key-2"]
server.log_level = "DEBUG"
model.path = "tiny"
generation.max_tokens = 6
gateway.max_concurrency = 3
gateway.max_body_mb = 5
[models.tiny]
aliases = ["nick"]
context_tokens = 128
"""


def test_settings_change_while_a_long_answer_runs(server: Server):
    write(server, BEFORE)
    server.start()
    assert tokens(ask(server)) == 4
    engine = server.pid_of("mlx-omni-server")
    began, lines = threading.Event(), []

    def read_long_answer() -> None:
        with httpx.stream(
            "POST",
            f"{server.url}/v1/chat/completions",
            json={
                "messages": [{"role": "user", "content": "hello"}],
                "logit_bias": ENDLESS,
                "max_tokens": 1500,
                "stream": True,
                "stream_options": {"include_usage": True},
            },
            headers={"Authorization": "Bearer first-key-1"},
            timeout=scaled(120),
        ) as answer:
            for line in answer.iter_lines():
                lines.append(line)
                began.set()

    reader = threading.Thread(target=read_long_answer)
    reader.start()
    assert began.wait(scaled(60))

    write(server, AFTER.replace("= 6", '= "many"'))
    mistaken = server.run("config.reload")
    as_before = tokens(ask(server))
    write(server, AFTER)
    done = server.run("config.reload", "--json")
    is_running = reader.is_alive()

    assert mistaken.returncode == 2
    assert "generation.max_tokens: must be a whole number, got 'many'" in mistaken.stderr
    assert as_before == 4
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert {change["key"] for change in printed["changed"]} == {
        "server.api_keys",
        "server.log_level",
        "generation.max_tokens",
        "gateway.max_concurrency",
        "models.tiny.aliases",
        "models.tiny.context_tokens",
    }
    assert printed["needs_restart"] == [{"key": "gateway.max_body_mb", "before": 64, "after": 5}]
    assert "first-key" not in done.stdout
    assert is_running
    assert ask(server).status_code == 401
    assert tokens(ask(server, "nick", "other-key-2")) == 6
    listed = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert {(model["id"], model["context_length"]) for model in listed} == {("tiny", 128), ("nick", 128)}
    assert httpx.get(f"{server.url}/queue.json").json()["max_concurrency"] == 3
    reader.join(scaled(120))
    (usage,) = [json.loads(line[6:])["usage"] for line in lines if '"usage":{' in line.replace(" ", "")]
    assert usage["completion_tokens"] == 1500
    assert lines[-2:] == ["data: [DONE]", ""]
    assert server.pid_of("mlx-omni-server") == engine

    again = server.run("config.reload")
    assert "gateway.max_body_mb: 64 → 5 needs: local-ai server restart" in again.stderr

    write(server, AFTER.replace("= 6", "= 7"))
    server.supervisorctl("signal", "HUP", "all")
    wait_until(lambda: tokens(ask(server, key="other-key-2")) == 7)

    write(server, AFTER.replace("= 6", "= 8") + "[config]\nwatch = true\n")
    assert server.run("config.reload").returncode == 0
    write(server, AFTER.replace("= 6", "= 9") + "[config]\nwatch = true\n")
    wait_until(lambda: tokens(ask(server, key="other-key-2")) == 9)


def test_reload_says_that_no_server_runs(server: Server):
    done = server.run("config.reload")

    assert done.returncode == 3
    assert done.stderr == (
        "error: no settings were changed\n"
        "  why: the server is not running; it reads them when it starts\n"
        "  fix: local-ai server start\n"
    )

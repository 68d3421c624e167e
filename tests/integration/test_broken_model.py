"""A default model that cannot be loaded: told at start, by status and by each answer; others still serve."""

import json
from collections.abc import Callable
from pathlib import Path

import openai
import pytest
from tests.server import Server

pytestmark = pytest.mark.integration

QUESTION = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    server = make_server(LOCAL_AI_MODEL__PATH="broken")
    broken = server.paths.models_dir / "broken"
    broken.mkdir()
    for file in (server.paths.models_dir / "tiny").iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"not weights at all")
    return server


def ask(server: Server, model: str) -> str:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="local", max_retries=0)
    answer = client.chat.completions.create(model=model, messages=QUESTION, max_tokens=4)
    return answer.model


def test_start_says_why_and_leaves_a_server_that_explains_itself(server: Server, tiny_model: Path):
    started = server.run("server.start")

    assert started.returncode == 1
    error, why, fix, _ = started.stderr.splitlines()[-4:]
    assert error == "error: the server runs, but the engine cannot serve its model"
    assert why.startswith("  why: the model 'broken' cannot be loaded: ")
    assert fix.startswith("  fix: download it again into ")
    assert "Traceback" not in started.stderr
    shown = server.run("server.status")
    assert shown.returncode == 3
    assert shown.stdout.startswith("Failed: the engine cannot serve\n  why: ")

    with pytest.raises(openai.APIStatusError, match="broken") as refused:
        ask(server, "broken")
    assert refused.value.status_code == 422

    assert ask(server, tiny_model.name) == tiny_model.name
    assert server.run("server.status").returncode == 0
    assert json.loads(server.run("server.status", "--json").stdout)["engine"]["model"] == "tiny"

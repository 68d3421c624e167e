"""Real servers as peers: another local-ai, and mlx_lm.server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.server import Server, free_port, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def mlx_server(tiny_model: Path, tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """mlx_lm.server with the tiny model, while it starts; and its port."""
    port = free_port()
    (tmp_path / "hub").mkdir()  # without a cache it lists no model at all
    process = subprocess.Popen(
        [sys.executable, "-m", "mlx_lm", "server", "--model", str(tiny_model), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HF_HOME": str(tmp_path)},
    )
    yield port, process
    process.kill()
    process.wait()


def test_models_of_another_local_ai_and_of_mlx_lms_server_answer_here(
    running: Server,
    make_server: Callable[..., Server],
    mlx_server: tuple[int, subprocess.Popen[bytes]],
    tiny_model: Path,
) -> None:
    port, process = mlx_server
    peers = [{"name": "other", "url": running.url}, {"name": "mlx", "url": f"http://127.0.0.1:{port}/v1"}]
    server = make_server(LOCAL_AI_PEERS=json.dumps(peers), LOCAL_AI_ROUTING__REPLICAS="true")
    server.start()

    def states() -> dict[str, str]:
        return {peer["name"]: peer["state"] for peer in server.status()["queue"]["peers"]}

    wait_until(lambda: states() == {"other": "ready", "mlx": "ready"}, timeout_s=60)
    at_mlx = f"{tiny_model.resolve()}@mlx"
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="local", max_retries=0)

    listed = {model.id for model in client.models.list()}
    assert {"tiny", "tiny@other", at_mlx} <= listed
    told = json.loads(server.run("list", "--json").stdout)["peers"]
    assert [(peer["name"], peer["state"]) for peer in told] == [("other", "ready"), ("mlx", "ready")]
    shown = server.run("status").stdout
    assert "other ready, " in shown
    for model in ("tiny@other", at_mlx):
        assert "".join(_stream(client, model))
    said = anthropic.Anthropic(base_url=f"{server.url}/anthropic", api_key="local", max_retries=0)
    message = said.messages.create(
        model="tiny@other", max_tokens=4, messages=[{"role": "user", "content": "Hi"}]
    )
    assert message.usage.output_tokens
    with pytest.raises(
        anthropic.BadRequestError, match="the peer mlx does not answer /anthropic/v1/messages"
    ):
        said.messages.create(model=at_mlx, max_tokens=4, messages=[{"role": "user", "content": "Hi"}])
    # By its plain name it is answered here and there.
    for number in range(4):
        client.chat.completions.create(model="tiny", max_tokens=2, messages=_user(f"Hi {number}"))
    asked = [one["model"] for one in _get(server, "/activity.json")["requests"][:4]]
    assert sorted(asked) == ["tiny", "tiny", "tiny@other", "tiny@other"]
    for number in range(4):  # each goes on where it began
        turns = [*_user(f"Hi {number}"), {"role": "assistant", "content": "Yes"}, *_user("More")]
        client.chat.completions.create(model="tiny", max_tokens=2, messages=turns)
    assert [one["model"] for one in _get(server, "/activity.json")["requests"][:4]] == asked

    process.kill()
    process.wait()
    with pytest.raises(
        openai.InternalServerError, match="the peer mlx is away: it refuses the connection"
    ) as caught:
        client.chat.completions.create(model=at_mlx, max_tokens=2, messages=_user("Hi"))
    assert caught.value.status_code == 503
    assert "".join(_stream(client, "tiny@other"))


def _user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def _stream(client: openai.OpenAI, model: str) -> Iterator[str]:
    stream = client.chat.completions.create(model=model, max_tokens=4, stream=True, messages=_user("Hi"))
    for chunk in stream:
        for choice in chunk.choices:
            yield choice.delta.content or ""


def _get(server: Server, path: str) -> Any:
    import httpx

    return httpx.get(f"{server.url}{path}").json()

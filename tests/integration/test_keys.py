"""A server with a key: asked by the clients' own SDKs, and silent about the key everywhere."""

from collections.abc import Iterator
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
from tests.server import Server, end, free_port

pytestmark = pytest.mark.integration

KEY = "open-sesame-now"
QUESTION = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """One that other machines can reach."""
    open_to_all = {"LOCAL_AI_SERVER__API_KEYS": KEY, "LOCAL_AI_SERVER__HOST": "0.0.0.0"}
    server = Server(tmp_path_factory.mktemp("s"), free_port(), open_to_all)
    server.paths.models_dir.mkdir(parents=True)
    (server.paths.models_dir / "tiny").symlink_to(tiny_model)
    server.start()
    yield server
    end(server)


def test_openai_sdk_needs_the_key(server: Server):
    def ask(key: str) -> object:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)
        return client.chat.completions.create(model="tiny", messages=QUESTION, max_tokens=2)

    with pytest.raises(openai.AuthenticationError, match="is not one of this server's"):
        ask("wrong-key-here")
    assert ask(KEY)


def test_anthropic_sdk_needs_the_key(server: Server):
    def ask(key: str) -> object:
        client = anthropic.Anthropic(base_url=f"{server.url}/anthropic", api_key=key, max_retries=0)
        return client.messages.create(model="tiny", messages=QUESTION, max_tokens=2)

    with pytest.raises(anthropic.AuthenticationError, match="is not one of this server's"):
        ask("wrong-key-here")
    assert ask(KEY)


def test_key_is_shown_nowhere(server: Server):
    shown = [
        server.run("config.show").stdout,
        server.run("server.status", "--json").stdout,
        server.paths.conf.read_text(),
        httpx.get(f"{server.url}/", headers={"Accept": "text/html"}).text,
        httpx.get(f"{server.url}/diagnostics.json").text,
        *(" ".join(process.cmdline()) for process in server.processes()),
        *(file.read_text() for file in server.paths.logs_dir.iterdir()),
    ]

    assert not [text for text in shown if KEY in text]
    assert server.paths.state_file.stat().st_mode & 0o777 == 0o600


def test_server_that_others_could_reach_is_not_started_without_a_key(server: Server):
    refused = server.run("server.restart", LOCAL_AI_SERVER__API_KEYS="")

    assert refused.returncode == 2
    assert refused.stderr.startswith("error: the server would be open to the network\n")
    assert server.run("server.status").returncode == 0


def test_server_that_others_can_reach_says_by_which_address(server: Server):
    shown = server.start().stdout  # it runs already: what is shown is the same
    row = next((line for line in shown.splitlines() if "other machines" in line), None)
    if row is None:
        pytest.skip("this machine has no way to others: no address was shown")
    url = row.split()[-1].rstrip("/")

    models = httpx.get(f"{url}/v1/models", headers={"x-api-key": KEY})

    assert models.json()["data"][0]["id"] == "tiny"
    assert httpx.get(f"{url}/v1/models").status_code == 401
    assert row in server.run("server.status").stdout.splitlines()

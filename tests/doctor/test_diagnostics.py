"""`diagnostics` holds what a bug report needs, and neither prompts nor keys."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.server import Server
from tests.waits import scaled

from local_ai.settings.paths import find_paths
from local_ai.settings.schema import LocalAISettings
from local_ai.settings.secrets import find_secrets, hide

pytestmark = pytest.mark.integration

KEY, OTHER_KEY, PROMPT = (
    "planted-key-1f7a",
    "planted-key-in-the-environment",
    "the planted prompt of a person",
)


def contents(archive: Path) -> dict[str, str]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name).decode() for name in opened.namelist()}


def test_archive_of_a_used_server_holds_no_prompt_and_no_key(make_server: Callable[..., Server]):
    server = make_server(
        LOCAL_AI_SERVER__LOG_LEVEL="DEBUG",
        HF_TOKEN=OTHER_KEY,
        HTTPS_PROXY="http://user:planted-password@127.0.0.1:9",
    )
    file = server.paths.config_file
    file.parent.mkdir(parents=True)
    file.write_text(f'[server]\napi_keys = ["{KEY}"]\n')
    server.start()
    url, headers = f"{server.url}/v1/chat/completions", {"Authorization": f"Bearer {KEY}"}
    json_type = {"Content-Type": "application/json"}
    message = {"role": "user", "content": PROMPT}
    with httpx.Client(timeout=scaled(120), headers=headers) as client:
        answered = client.post(url, json={"messages": [message], "max_tokens": 4})
        refused = client.post(url, json={"messages": [message], "max_tokens": PROMPT, PROMPT: PROMPT})
        broken = client.post(
            f"{server.url}/anthropic/v1/messages?key={KEY}", content=f'{{"{PROMPT}', headers=json_type
        )
        stranger = client.post(url, headers={"x-api-key": OTHER_KEY, "Authorization": ""}, json={})
    # As a program that crashes may leave it behind.
    with server.paths.log("mlx-omni-server").open("a") as log:
        log.write(f"KeyError: {KEY} {OTHER_KEY} planted-password\n")

    done = server.run("diagnostics", "--out", "report.zip")

    assert [answered.status_code, refused.status_code, broken.status_code, stranger.status_code] == [
        200,
        400,
        400,
        401,
    ]
    assert done.returncode == 0, done.stderr
    archive = server.home / "report.zip"
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    members = contents(archive)
    text = "".join((*members, *members.values()))
    assert [word for word in (KEY, OTHER_KEY, PROMPT, "planted-password") if word in text] == []
    assert "KeyError: (hidden) (hidden) (hidden)" in members["logs/mlx-omni-server.log"]
    assert json.loads(members["settings.json"])["server"]["port"] == server.port
    assert json.loads(members["status.json"])["verdict"]["health"] == "healthy"
    assert json.loads(members["versions.json"])["mlx-lm"]
    assert {check["name"] for check in json.loads(members["doctor.json"])} >= {"port", "settings", "models"}
    assert members["logs/welcome-page.log"]


def test_archive_is_written_where_nothing_was_started_and_never_over_a_file(server: Server):
    server.paths.config_file.parent.mkdir(parents=True)
    server.paths.config_file.write_text(f'[server]\nprot = 1\napi_keys = [\n"{KEY}"\n]\n')

    first = server.run("diagnostics", "--out", "report.zip")
    again = server.run("diagnostics", "--out", "report.zip")

    assert first.returncode == 0, first.stderr
    assert KEY not in "".join(contents(server.home / "report.zip").values())
    assert again.returncode == 2
    assert "report.zip exists" in again.stderr


def test_secrets_are_found_wherever_they_are_kept(tmp_path: Path):
    paths = find_paths({"HOME": str(tmp_path)})
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text("server.api_keys = ['first-key', \"second-key\"\n")
    paths.state_file.parent.mkdir(parents=True)
    paths.state_file.write_text(json.dumps({"settings": {"server": {"api_keys": ["third-key"]}}}, indent=2))
    paths.hub_cache.parent.mkdir(parents=True)
    (paths.hub_cache.parent / "token").write_text("hf_fourth\n")
    environ = {
        "OPENAI_API_KEY": "fifth",
        "http_proxy": "http://me:sixth@proxy",
        "LOCAL_AI_SERVER__API_KEYS": "seventh, eighth",
    }

    found = find_secrets(LocalAISettings(), paths, None, environ)

    words = {"first-key", "second-key", "third-key", "hf_fourth", "fifth", "sixth", "seventh", "eighth"}
    assert words <= found
    assert hide("a first-key b", found) == "a (hidden) b"

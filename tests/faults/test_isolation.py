"""What a server shares with nobody: its files, its sockets, its user's secrets, what was asked of it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.server import SCRIPT, Server, end, free_port
from tests.waits import scaled

pytestmark = pytest.mark.integration

SECRET = "a-key-of-somebody-4711"
PROMPT = "zebra-quartz-lighthouse"


def modes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): oct(stat.S_IMODE(file.lstat().st_mode)) for file in folder.rglob("*")
    }


def test_files_are_the_owners_alone_whatever_the_umask(server: Server):
    started = server.shell(f"umask 0; {SCRIPT} server.start")
    assert started.returncode == 0, started.stderr

    found = modes(server.paths.state_dir)

    assert stat.S_IMODE(server.paths.state_dir.stat().st_mode) == 0o700
    assert found.pop("logs") == "0o700"
    assert {"supervisord.sock", "engine.sock", "state.json", "supervisord.conf", "server.pid"} <= set(found)
    assert {name: mode for name, mode in found.items() if mode not in {"0o600", "0o700"}} == {}
    assert {name for name, mode in found.items() if mode == "0o700"} <= {"engine.sock", "supervisord.sock"}


@pytest.mark.parametrize("name", ["", "logs", "logs/mlx-omni-server.log"], ids=["state", "logs", "log"])
def test_link_in_the_way_is_refused(server: Server, name: str):
    elsewhere = server.home / "elsewhere"
    elsewhere.mkdir()
    link = server.paths.state_dir / name
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    link.symlink_to(elsewhere)

    refused = server.run("server.start")

    assert refused.returncode == 2
    assert f"  why: {link} is a symbolic link, which could lead anywhere\n" in refused.stderr
    assert list(elsewhere.iterdir()) == []


def test_links_in_place_of_files_are_replaced_and_not_followed(server: Server):
    target = server.home / "precious"
    target.write_text("precious")
    server.paths.state_dir.mkdir(parents=True)
    links = [server.paths.state_dir / name for name in ("state.json", "supervisord.conf")]
    for link in links:
        link.symlink_to(target)

    server.start()

    assert target.read_text() == "precious"
    assert not [link for link in links if link.is_symlink()]


def test_links_in_place_of_what_the_programs_write_harm_no_other_file(server: Server):
    target = server.home / "precious"
    target.write_text("precious")
    server.paths.logs_dir.mkdir(parents=True)
    for name in ("supervisord.pid", "server.pid"):
        (server.paths.state_dir / name).symlink_to(target)

    server.run("server.start")

    assert target.read_text() == "precious"


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server started by a user with secrets, open files and a language."""
    secrets = dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "LOCAL_AI_SERVER__API_KEYS"), SECRET)
    server = Server(tmp_path_factory.mktemp("s"), free_port(), secrets | {"LC_ALL": "C"})
    server.paths.models_dir.mkdir(parents=True)
    (server.paths.models_dir / tiny_model.name).symlink_to(tiny_model)
    started = server.shell(f"exec 7<>/dev/zero 8<>/dev/full; {SCRIPT} server.start")
    assert started.returncode == 0, started.stderr
    yield server
    end(server)


def test_programs_get_neither_the_users_secrets_nor_open_files(secretive: Server):
    assert len(secretive.processes()) == 3
    for process in secretive.processes():
        environment = process.environ()
        assert SECRET not in " ".join(environment.values())
        assert SECRET not in " ".join(process.cmdline())
        assert environment["LC_ALL"] == "C"
        assert not [name for name in environment if name.startswith(("LOCAL_AI_", "XDG_", "AWS_"))]
        assert not {"/dev/zero", "/dev/full"} & set(open_files(process))


def open_files(process: psutil.Process) -> list[str]:
    """What a process has open; only Linux tells."""
    folder = Path(f"/proc/{process.pid}/fd")
    if not folder.exists():
        return [file.path for file in process.open_files()]
    found = []
    for descriptor in folder.iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return found


def test_logs_hold_neither_prompts_nor_answers_nor_keys(secretive: Server):
    server = secretive
    asked = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 8}
    answers: list[str] = []

    with httpx.Client(base_url=server.url, headers={"x-api-key": SECRET}, timeout=scaled(60)) as client:
        for path in ("/v1/chat/completions", "/anthropic/v1/messages"):
            whole = client.post(path, json=asked).json()
            answers.append(
                whole["choices"][0]["message"]["content"]
                if "choices" in whole
                else whole["content"][0]["text"]
            )
            assert client.post(path, json=asked | {"stream": True}).status_code == 200
            for wrong in ({"temperature": PROMPT}, {"messages": PROMPT}, {"tools": PROMPT}, {PROMPT: 1}):
                assert client.post(path, json=asked | wrong).status_code in {200, 400}
            assert client.post(path, content=f'{{"{PROMPT}'.encode()).status_code == 415
            headers = {"content-type": "application/json"}
            assert client.post(path, content=f'{{"{PROMPT}'.encode(), headers=headers).status_code == 400
        client.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 4})
        client.post("/v1/embeddings", json={"input": PROMPT, "model": "tiny"})
        client.post("/v1/responses", json={"input": PROMPT, "max_output_tokens": 4})
        client.post("/anthropic/v1/messages/count_tokens", json=asked)
        client.get(f"/v1/models/{PROMPT}")
        client.get(f"/{PROMPT}", headers={"x-api-key": PROMPT})
        client.post("/v1/chat/completions", json=asked, headers={"x-api-key": PROMPT})

    logs = {file.name: file.read_text() for file in server.paths.logs_dir.iterdir()}
    assert all(logs.values())
    for name, text in logs.items():
        assert PROMPT not in text, name
        assert SECRET not in text, name
        assert "Traceback" not in text, name
        for answer in answers:
            assert len(answer) < 4 or answer not in text, name

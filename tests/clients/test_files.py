"""What is written into the files of clients, and taken out again."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from local_ai.clients.configure import Change, make_change, plan_change
from local_ai.clients.endpoint import Endpoint
from local_ai.clients.files import FILES
from local_ai.errors import ConfigError

ENDPOINT = Endpoint("http://127.0.0.1:1/v1", "http://127.0.0.1:1/anthropic", "org/Model", "local", 16_000)
OTHERS = {
    "pi": '{\n  "$schema": "x", // theirs\n  "providers": {\n    "own": {"baseUrl": "http://own"},\n  }\n}\n',
    "cline": '{\n  "version": 1,\n  "providers": {\n    "ollama": {\n      "settings": {}\n    }\n  }\n}',
    "llm": "# theirs\n- model_id: own\n  model_name: own\n",
}
each_client = pytest.mark.parametrize("client", FILES)


def change_of(client: str, file: Path, *, undo: bool = False, endpoint: Endpoint = ENDPOINT) -> Change:
    kind = FILES[client]
    return plan_change(client, file, kind.taken_back if undo else lambda text: kind.written(text, endpoint))


def test_pi_is_told_the_server_the_key_and_the_models_limits():
    written = json.loads(FILES["pi"].written("", replace(ENDPOINT, key="!a$b")))

    provider = written["providers"]["local-ai"]
    assert (provider["baseUrl"], provider["apiKey"]) == ("http://127.0.0.1:1/v1", "$!a$$b")
    assert provider["models"] == [{"id": "org/Model", "contextWindow": 16_000, "maxTokens": 4000}]


def test_cline_is_told_the_server_and_the_models_limits():
    written = json.loads(FILES["cline"].written("", ENDPOINT))

    settings = written["providers"]["openai-compatible"]["settings"]
    assert written["version"] == 1
    assert (settings["baseUrl"], settings["model"]) == ("http://127.0.0.1:1/v1", "org/Model")
    assert (settings["contextWindow"], settings["maxTokens"]) == (16_000, 4000)


def test_cline_keeps_another_server_of_this_kind():
    theirs = '{"version": 1, "providers": {"openai-compatible": {"settings": {"baseUrl": "http://own"}}}}'

    with pytest.raises(ValueError, match="another server already"):
        FILES["cline"].written(theirs, ENDPOINT)
    assert FILES["cline"].taken_back(theirs) == theirs


def test_cline_forgets_that_it_used_the_server_last():
    used = json.loads(FILES["cline"].written(OTHERS["cline"], ENDPOINT))
    used["lastUsedProvider"] = "openai-compatible"

    assert json.loads(FILES["cline"].taken_back(json.dumps(used))) == json.loads(OTHERS["cline"])


def test_llm_is_told_the_server_and_its_key():
    (without,) = yaml.safe_load(FILES["llm"].written("", ENDPOINT))
    (with_key,) = yaml.safe_load(FILES["llm"].written("", replace(ENDPOINT, key="sk-1")))

    assert (without["model_id"], without["model_name"]) == ("local-ai/org/Model", "org/Model")
    assert without["api_base"] == "http://127.0.0.1:1/v1"
    assert "headers" not in without
    assert with_key["headers"] == {"Authorization": "Bearer sk-1"}


@each_client
def test_file_that_was_not_there_is_private_and_gone_after_the_undo(client: str, tmp_path: Path):
    file = tmp_path / "new" / "file"

    make_change(change_of(client, file))

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert change_of(client, file).diff == []
    make_change(change_of(client, file, undo=True))
    assert list(file.parent.iterdir()) == []
    assert change_of(client, file, undo=True).diff == []


@each_client
def test_undo_gives_the_file_back_byte_for_byte(client: str, tmp_path: Path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text(OTHERS[client])
    real.chmod(0o640)
    link.symlink_to(real)

    make_change(change_of(client, link))
    make_change(change_of(client, link, endpoint=replace(ENDPOINT, model="another")))
    changed = real.read_text()
    make_change(change_of(client, link, undo=True))

    assert "another" in changed
    assert "org/Model" not in changed
    assert real.read_text() == OTHERS[client]
    assert (link.is_symlink(), stat.S_IMODE(real.stat().st_mode)) == (True, 0o640)


@each_client
def test_file_that_another_program_changed_meanwhile_is_left(client: str, tmp_path: Path):
    file = tmp_path / "file"
    file.write_text(OTHERS[client])
    change = change_of(client, file)
    file.write_text(OTHERS[client] + "\n")

    with pytest.raises(ConfigError) as caught:
        make_change(change)

    assert caught.value.why == f"{file}: it was changed meanwhile"
    assert file.read_text() == OTHERS[client] + "\n"


@each_client
@pytest.mark.parametrize("content", [b"{ no", b"\xff", b"7"], ids=["broken", "bytes", "number"])
def test_broken_file_is_left_and_named(client: str, content: bytes, tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=f"the settings of {client} were not changed") as caught:
        change_of(client, file)

    assert str(file) in caught.value.why
    assert file.read_bytes() == content


@each_client
def test_place_that_is_no_file_or_may_not_be_written_is_named(client: str, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "file" / "below")

    for place, why in (("folder", "Is a directory"), ("file/below", "Not a directory")):
        with pytest.raises(ConfigError) as caught:
            change_of(client, tmp_path / place)
        assert caught.value.why == f"{tmp_path / place}: {why}"
    with pytest.raises(ConfigError):
        make_change(change_of(client, tmp_path / "dangling"))
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file", "folder"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("client", "environ", "place"),
    [
        ("pi", {}, "/home/.pi/agent/models.json"),
        ("pi", {"PI_CODING_AGENT_DIR": "~/pi"}, "/home/pi/models.json"),
        ("cline", {}, "/home/.cline/data/settings/providers.json"),
        ("cline", {"CLINE_DIR": "/c"}, "/c/data/settings/providers.json"),
        ("cline", {"CLINE_DATA_DIR": "/d", "CLINE_DIR": "/c"}, "/d/settings/providers.json"),
        ("cline", {"CLINE_PROVIDER_SETTINGS_PATH": "/p.json"}, "/p.json"),
        ("llm", {"LLM_USER_PATH": "/l"}, "/l/extra-openai-models.yaml"),
    ],
)
def test_files_are_where_the_clients_look_for_them(client: str, environ: dict[str, str], place: str):
    assert str(FILES[client].place(environ, Path("/home"))) == place

"""Which models there are, and which is the default."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.server import Server
from tests.waits import scaled

from local_ai.supervision.program import ENGINE

pytestmark = pytest.mark.integration


def test_list_shows_what_there_is_and_what_is_loaded(running: Server):
    (running.paths.models_dir / "half").mkdir()
    (running.paths.models_dir / "half/config.json").write_text("{}")

    table, data = running.run("models"), json.loads(running.run("models.list", "--json").stdout)

    assert table.stdout.splitlines()[0].split() == ["NAME", "SIZE", "QUANT", "CONTEXT", "FAMILY", "WHERE"]
    assert "default, loaded" in table.stdout.splitlines()[1]
    assert table.stderr == (
        f"warning: half cannot be used: no weights ({running.paths.models_dir / 'half'}). "
        f"To fix it: put what is missing into {running.paths.models_dir / 'half'}\n"
    )
    assert [(model["id"], model["loaded"], model["default"]) for model in data["models"]] == [
        ("tiny", True, True)
    ]
    assert data["incomplete"][0]["id"] == "half"


def answers_with(server: Server) -> object:
    """Return the name of the model that answers, where a request names none."""
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=scaled(60)).json()["model"]


def test_model_that_comes_later_is_listed_and_not_the_default_until_a_restart(running: Server):
    shutil.copytree(running.paths.models_dir / "tiny", running.paths.models_dir / "newer")

    assert answers_with(running) == "tiny"
    assert running.status()["default_model"] == "tiny"
    listed = json.loads(running.run("models.list", "--json").stdout)["models"]
    assert {model["id"]: model["default"] for model in listed} == {"tiny": True, "newer": False}
    running.run("server.restart")
    assert answers_with(running) == "newer"


def test_use_makes_a_model_the_default_for_the_next_start(server: Server):
    used = server.run("models", "use", "tiny")

    assert used.returncode == 0, used.stderr
    assert used.stdout == (
        f"tiny is the default model now ({server.paths.config_file}).\n"
        "To use it in a running server: local-ai server restart\n"
    )
    assert json.loads(server.run("config.show", "--json").stdout)["model.path"]["value"] == "tiny"


def test_use_takes_a_folder_from_anywhere(server: Server):
    folder = (server.paths.models_dir / "tiny").resolve()
    (server.paths.models_dir / "tiny").unlink()

    used = server.run("models.use", str(folder))

    assert used.returncode == 0, used.stderr
    assert json.loads(server.run("config.show", "--json").stdout)["model.path"]["value"] == str(folder)


def test_unknown_model_is_told_with_the_nearest_name(server: Server):
    refused = server.run("models.use", "tinny")

    assert refused.returncode == 2
    assert refused.stderr == (
        "error: the model was not found\n"
        "  why: 'tinny' is not a model on this machine\n"
        "  fix: local-ai models use tiny\n"
    )
    assert not server.paths.config_file.exists()


@pytest.mark.parametrize("command", ["models.info", "models.use"])
def test_model_that_cannot_be_used_is_told_with_its_reason(server: Server, command: str):
    """By its name, and by its folder, which may lie anywhere."""
    for folder in (server.paths.models_dir / "half", server.home / "half"):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "pytorch_model.bin").touch()

    for name, folder in (("half", server.paths.models_dir), (str(server.home / "half"), server.home)):
        refused = server.run(command, name)

        assert (refused.returncode, refused.stderr) == (
            2,
            "error: the model cannot be used\n"
            f"  why: its weights are PyTorch's (.bin), which MLX does not read ({folder / 'half'})\n"
            "  fix: take a conversion of it for MLX\n",
        )


def test_no_models_yet_says_where_the_first_comes_from(server: Server):
    (server.paths.models_dir / "tiny").unlink()

    assert server.run("models.list").stdout == (
        "No models yet. The first local-ai server start prepares the starter model.\n"
    )


def set_up(server: Server, text: str) -> None:
    server.paths.config_file.parent.mkdir(parents=True)
    server.paths.config_file.write_text(text)


def test_aliases_and_new_models_show_everywhere_without_a_restart(server: Server, tiny_model: Path):
    shelf = server.home / "shelf"
    set_up(
        server,
        f'[model]\npath = "tiny"\n[models]\npaths = ["{shelf}"]\n'
        '[aliases]\n"gpt-4o" = "org/new"\n"claude-*" = "default"\n',
    )
    server.start()
    before = server.run("models.list").stdout

    (shelf / "org").mkdir(parents=True)
    (shelf / "org/new").symlink_to(tiny_model)

    rows = json.loads(server.run("models.list", "--json").stdout)["models"]
    named = {row["id"]: (row["path"], row["aliases"]) for row in rows}
    openai = httpx.get(f"{server.url}/v1/models").json()["data"]
    anthropic = httpx.get(f"{server.url}/anthropic/v1/models").json()["data"]
    assert "org/new" not in before
    assert named["org/new"] == (str(shelf / "org/new"), ["gpt-4o"])
    assert {model["id"] for model in openai} == {"tiny", "org/new", "gpt-4o"}
    assert {model["id"] for model in anthropic} == {"tiny", "org/new", "gpt-4o"}
    assert "org/new" in server.status()["models"]
    assert "org/new" in httpx.get(f"{server.url}/status.json").json()["models"]  # what the page shows
    assert "also gpt-4o" in server.run("models.list").stdout
    assert httpx.get(f"{server.url}/v1/models/claude-any").json()["id"] == "claude-any"
    assert server.run("models.info", "gpt-4o").stdout.splitlines()[0].split() == ["name", "org/new"]

    body = {"model": "gpt-4o", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=scaled(60)).json()
    stream = httpx.post(
        f"{server.url}/v1/chat/completions", json=body | {"stream": True}, timeout=scaled(60)
    ).text
    message = httpx.post(
        f"{server.url}/anthropic/v1/messages", json=body | {"model": "claude-any"}, timeout=scaled(60)
    ).json()
    assert (answer["model"], message["model"]) == ("gpt-4o", "claude-any")
    assert '"model":"gpt-4o"' in stream


def test_engine_that_restarts_in_place_once_it_is_idle_fails_nobody(make_server: Callable[..., Server]):
    server = make_server(LOCAL_AI_MODEL__IDLE_UNLOAD_S="0.2")
    server.start()
    engine, log = server.pid_of(ENGINE), server.paths.log(ENGINE)
    ask = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    seen: set[tuple[int, str]] = set()

    with httpx.Client(base_url=server.url, timeout=scaled(60)) as client:
        first = client.post("/v1/chat/completions", json=ask).json()["choices"]
        while log.read_text().count("imported mlx-lm") < 2:
            ready = client.get("/readyz")
            seen.add((ready.status_code, ready.json()["verdict"]["health"]))
        again = client.post("/v1/chat/completions", json=ask).json()["choices"]

    assert again == first
    # "starting": where its imports take so long that a look gets no word. Requests wait meanwhile.
    assert seen <= {(200, "healthy"), (200, "busy"), (200, "starting"), (503, "starting")}
    assert (server.pid_of(ENGINE), server.status()["programs"][0]["restarts"]) == (engine, 0)
    assert "restarts in place" in log.read_text()
    server.stop()
    assert server.processes() == []


def test_unload_over_the_command_line_and_not_over_http(running: Server):
    over_http = httpx.post(f"{running.url}/unload", json={})
    unloaded = running.run("models.unload")
    again = running.run("models.unload")

    assert over_http.status_code in (404, 405)
    assert unloaded.returncode == 0, unloaded.stderr
    assert re.fullmatch(
        r"Unloaded tiny: \d+ MB given back\.\nThe next request for a model loads it again\.\n",
        unloaded.stdout,
    )
    assert again.stdout == "No model was loaded.\n"
    assert running.run("server.status").returncode == 0
    assert answers_with(running) == "tiny"


def test_unload_without_a_server_is_told(server: Server):
    stopped = server.run("models.unload")

    assert (stopped.returncode, stopped.stderr.splitlines()[0]) == (3, "error: no model was unloaded")


def test_check_warns_of_aliases_and_folders_that_lead_nowhere(server: Server):
    set_up(server, '[models]\npaths = ["/no/such"]\n[aliases]\n"gpt-4o" = "gone"\n')

    checked = server.run("config.check")

    assert checked.returncode == 0
    assert checked.stderr == (
        "warning: models.paths: /no/such is not a folder; it is skipped until it exists\n"
        "warning: aliases: 'gpt-4o' leads to 'gone', which is not a model on this machine\n"
    )

"""Which models there are, and which is the default."""

import json

import pytest
from tests.server import Server

pytestmark = pytest.mark.integration


def test_list_shows_what_there_is_and_what_is_loaded(running: Server):
    (running.paths.models_dir / "half").mkdir()
    (running.paths.models_dir / "half/config.json").write_text("{}")

    table, data = running.run("models"), json.loads(running.run("models.list", "--json").stdout)

    assert table.stdout.splitlines()[0].split() == ["NAME", "SIZE", "QUANT", "CONTEXT", "FAMILY", "WHERE"]
    assert "default, loaded" in table.stdout.splitlines()[1]
    assert table.stderr == (
        f"warning: half is incomplete: no weights ({running.paths.models_dir / 'half'})\n"
    )
    assert [(model["id"], model["loaded"], model["default"]) for model in data["models"]] == [
        ("tiny", True, True)
    ]
    assert data["incomplete"][0]["id"] == "half"


def test_use_makes_a_model_the_default_for_the_next_start(server: Server):
    used = server.run("models", "use", "tiny")

    assert used.returncode == 0, used.stderr
    assert used.stdout == (
        f"tiny is the default model now ({server.paths.config_file}).\n"
        "A running server takes it with: local-ai server restart\n"
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
        "  why: 'tinny' is no model found on this machine\n"
        "  fix: local-ai models info tiny\n"
    )
    assert not server.paths.config_file.exists()


def test_no_models_yet_says_where_the_first_comes_from(server: Server):
    (server.paths.models_dir / "tiny").unlink()

    assert server.run("models.list").stdout == (
        "No models yet. The first local-ai server start prepares the starter model.\n"
    )

"""Models that go, and models that stay."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.server import SCRIPT, Server
from tests.waits import NO_TLS, scaled

pytestmark = pytest.mark.integration


def put_in_cache(server: Server, model: Path, *, commit: str = "c" * 40, ref: str = "main") -> Path:
    """Lay a model into the hub cache as huggingface_hub does; return its repository."""
    repository = server.paths.hub_cache / "models--org--tiny"
    snapshot = repository / "snapshots" / commit
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    for file in model.iterdir():
        blob = repository / "blobs" / f"{commit[0]}-{file.name}"
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    (repository / "refs" / ref).write_text(commit)
    return repository


def names(server: Server) -> set[str]:
    return {row["id"] for row in json.loads(server.run("models.list", "--json").stdout)["models"]}


@pytest.fixture
def empty(make_server: Callable[..., Server]) -> Server:
    return make_server(model=None)


def test_model_of_the_hub_cache_goes_as_a_whole(empty: Server, tiny_model: Path):
    repository = put_in_cache(empty, tiny_model)

    removed = empty.run("models", "remove", "org/tiny", "--yes")

    assert removed.returncode == 0, removed.stderr
    assert removed.stdout == f"Removed org/tiny: 1 MB given back ({repository}).\n"
    assert not repository.exists()
    assert names(empty) == set()


def test_one_revision_goes_and_the_others_stay(empty: Server, tiny_model: Path):
    put_in_cache(empty, tiny_model)
    repository = put_in_cache(empty, tiny_model, commit="d" * 40, ref="v2")
    assert names(empty) == {"org/tiny", "org/tiny@v2"}

    removed = empty.run("models.remove", "org/tiny@v2", "--yes")

    assert removed.returncode == 0, removed.stderr
    assert names(empty) == {"org/tiny"}
    assert {blob.name[0] for blob in (repository / "blobs").iterdir()} == {"c"}


def test_unfinished_download_can_be_removed(empty: Server):
    blobs = empty.paths.hub_cache / "models--org--half/blobs"
    blobs.mkdir(parents=True)
    (blobs / "abc.incomplete").write_bytes(b"half")

    removed = empty.run("models.remove", "org/half", "--yes")

    assert removed.returncode == 0, removed.stderr
    assert not blobs.parent.exists()


def test_model_whose_config_is_hostile_can_be_removed(empty: Server, tiny_model: Path):
    folder = empty.paths.models_dir / "hostile"
    shutil.copytree(tiny_model, folder)
    (folder / "config.json").write_text("[" * 100_000)

    removed = empty.run("models.remove", "hostile", "--yes")

    assert removed.returncode == 0, removed.stderr
    assert not folder.exists()


def test_model_of_our_own_folder_goes_and_of_a_link_only_the_link(empty: Server, tiny_model: Path):
    empty.paths.models_dir.mkdir(parents=True)
    shutil.copytree(tiny_model, empty.paths.models_dir / "own")
    (empty.paths.models_dir / "linked").symlink_to(tiny_model)

    own = empty.run("models.remove", "own", "--yes")
    linked = empty.run("models.remove", "linked", "--yes")

    assert own.stdout == f"Removed own: 1 MB given back ({empty.paths.models_dir / 'own'}).\n"
    assert linked.stdout == (f"Removed the link {empty.paths.models_dir / 'linked'}; its target stays.\n")
    assert names(empty) == set()
    assert (tiny_model / "config.json").exists()


def test_folders_of_others_are_refused_and_told(empty: Server, tiny_model: Path):
    folder = empty.home / ".lmstudio/models/org/theirs"
    shutil.copytree(tiny_model, folder)

    by_name = empty.run("models.remove", "org/theirs", "--yes")
    by_folder = empty.run("models.remove", str(folder), "--yes")

    assert by_name.returncode == by_folder.returncode == 2
    assert by_name.stderr == (
        "error: the model was not removed\n"
        f"  why: org/theirs is in {folder}, which local-ai only reads\n"
        f"  fix: remove that folder with the program that made it, or by hand: rm -r {folder}\n"
    )
    assert folder.exists()


def test_what_is_loaded_or_the_default_is_refused(running: Server):
    loaded = running.run("models.remove", "tiny", "--yes")
    running.run("models.unload")
    running.run("models.use", "tiny")
    default = running.run("models.remove", "tiny", "--yes")
    # Loads it again, also where the engine has just begun to restart in place.
    question = {"model": "tiny", "prompt": "1", "max_tokens": 1}
    again = httpx.post(f"{running.url}/v1/completions", json=question, timeout=scaled(60), verify=NO_TLS)
    assert again.status_code == 200, again.text

    assert (loaded.returncode, loaded.stderr) == (
        1,
        "error: the model was not removed\n"
        "  why: the running server has tiny in memory\n"
        "  fix: local-ai models unload tiny (or local-ai server stop), then run the same command again\n",
    )
    assert (default.returncode, default.stderr) == (
        1,
        "error: the model was not removed\n"
        "  why: it is the default model of the settings (model.path)\n"
        "  fix: make another one the default first: local-ai models use NAME\n",
    )
    assert names(running) == {"tiny"}


def test_nobody_to_ask_is_no_yes(server: Server):
    refused = server.run("models.remove", "tiny")

    folder = server.paths.models_dir / "tiny"
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: the model was not removed\n"
        f"  why: this is not a terminal, so local-ai cannot ask, and a removal cannot be undone: {folder}\n"
        "  fix: if you mean it: local-ai models remove tiny --yes\n",
    )
    assert folder.exists()


@pytest.mark.parametrize(("answer", "stays"), [(b"\n", True), (b"n\n", True), (b"y\n", False)])
def test_person_is_asked_first(empty: Server, tiny_model: Path, answer: bytes, stays: bool):
    folder = empty.paths.models_dir / "own"
    shutil.copytree(tiny_model, folder)
    main, other = pty.openpty()
    os.write(main, answer)

    environment = os.environ | {
        "HOME": str(empty.home),
        "XDG_DATA_HOME": str(empty.home / "data"),
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        [str(SCRIPT), "models.remove", "own"],
        env=environment,
        stdin=other,
        capture_output=True,
        text=True,
        timeout=scaled(60),
    )
    for end in (main, other):
        os.close(end)

    assert done.returncode == 0, done.stderr
    assert done.stderr == f"Remove own: 1 MB in {folder}? [y/N] "
    assert folder.exists() is stays
    assert (done.stdout == "Nothing was removed.\n") is stays


def test_unknown_model_is_told(empty: Server):
    refused = empty.run("models.remove", "nothing", "--yes")

    assert refused.returncode == 2
    assert "why: 'nothing' is not a model on this machine" in refused.stderr

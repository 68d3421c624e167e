"""An uninstallation takes what local-ai wrote, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_ai.lifecycle.uninstall import list_parts, remove_parts
from local_ai.settings.paths import Paths, find_paths
from local_ai.supervision.program import LOG_NAMES


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = find_paths({"HOME": str(tmp_path)})
    for folder in (paths.logs_dir, paths.config_dir, paths.models_dir / "SmolLM2-135M-Instruct"):
        folder.mkdir(parents=True)
    for file in (
        paths.conf,
        paths.state_file,
        paths.lock,
        paths.supervisor_socket,
        *map(paths.log, LOG_NAMES),
        paths.logs_dir / "welcome-page.log.1",
        paths.config_file,
        paths.models_dir / "SmolLM2-135M-Instruct/model.safetensors",
        paths.models_dir / ".starter-lock",
    ):
        file.write_text("12345")
    (paths.omni_dir / "env").mkdir(parents=True)
    prompts = paths.cache_dir / "prompts/of-a-model"
    prompts.mkdir(parents=True)
    (prompts / "b-1.safetensors").write_text("12345")
    return paths


def test_all_that_local_ai_wrote_goes_with_its_folders(paths: Paths):
    parts = list_parts(paths)

    assert {part.name: part.size_bytes for part in parts} == {
        "logs": 5 * (len(LOG_NAMES) + 1),
        "state": 20,
        "starter model": 10,
        "speech, images": 0,
        "prompts": 5,
        "settings": 5,
    }
    assert [entry for part in parts for entry in part.unknown] == []
    remove_parts(parts)
    assert [
        each for each in (paths.state_dir, paths.config_dir, paths.data_dir, paths.cache_dir) if each.exists()
    ] == []


def test_what_somebody_else_put_there_stays_and_is_named(paths: Paths, tmp_path: Path):
    foreign = (
        paths.state_dir / "notes.txt",
        paths.logs_dir / "other.log",
        paths.config_dir / "config.toml.bak",
        paths.models_dir / "my-model/config.json",
    )
    for file in foreign:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")

    parts = list_parts(paths)
    remove_parts(parts)

    left = {entry for part in parts for entry in part.unknown}
    assert left == {*foreign[:3], foreign[3].parent}
    assert all(file.read_text() == "mine" for file in foreign)
    assert not paths.state_file.exists()


def test_links_go_and_what_they_lead_to_stays(paths: Paths, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "omni").mkdir(parents=True)
    for name in ("omni/file", "config.toml"):
        (elsewhere / name).write_text("mine")
    (paths.omni_dir / "env").rmdir()
    paths.omni_dir.rmdir()
    paths.omni_dir.symlink_to(elsewhere / "omni")
    paths.config_file.unlink()
    paths.config_file.symlink_to(elsewhere / "config.toml")

    remove_parts(list_parts(paths))

    assert (elsewhere / "omni/file").read_text() == (elsewhere / "config.toml").read_text() == "mine"
    assert not paths.data_dir.exists()


def test_a_folder_that_is_a_link_is_left_whole(paths: Paths, tmp_path: Path):
    real = paths.config_dir.rename(tmp_path / "dotfiles")
    paths.config_dir.symlink_to(real)

    parts = list_parts(paths)
    remove_parts(parts)

    assert paths.config_dir in {entry for part in parts for entry in part.unknown}
    assert (real / "config.toml").read_text() == "12345"

"""state.json: private, atomic, and the one place that holds secrets."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_ai.errors import ServerError
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings
from local_ai.settings.state import (
    Target,
    make_state,
    read_state,
    read_target,
    running_paths,
    target_of,
    write_private,
    write_state,
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path, tmp_path / "data", tmp_path / "hub", tmp_path / "cache")


def test_state_is_read_back_as_it_was_with_its_secrets(paths: Paths):
    settings = LocalAISettings.model_validate(
        {
            "server": {"api_keys": ["sesame-open"]},
            "model": {"adapter_path": "/a"},
            "models": {"org/Name-1.5": {"temperature": 0.5, "aliases": ["fast"]}},
        }
    )
    state = make_state(settings, paths)

    write_state(state, paths.state_file)

    assert read_state(paths.state_file) == state
    assert read_state(paths.state_file).paths == paths.with_model_folders(state.settings.models.paths)


def test_files_are_private_whatever_the_umask(tmp_path: Path):
    old = os.umask(0)
    try:
        write_private(tmp_path / "file", "text")
    finally:
        os.umask(old)

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("old")

    with pytest.raises(UnicodeEncodeError):
        write_private(file, "\ud800")

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.fixture
def raw(paths: Paths) -> dict[str, Any]:
    """What a start writes."""
    write_state(make_state(LocalAISettings(), paths), paths.state_file)
    content: dict[str, Any] = json.loads(paths.state_file.read_text())
    return content


def test_an_older_versions_start_is_understood(paths: Paths, raw: dict[str, Any]):
    del raw["settings"]["gateway"], raw["settings"]["server"]["drain_s"]
    raw["settings"]["server"]["gone"] = 1
    raw["settings"]["section"] = {"gone": 1}
    paths.state_file.write_text(json.dumps(raw))

    assert read_state(paths.state_file).settings == LocalAISettings()


@pytest.mark.parametrize(
    "broken",
    [{"server": None}, {"server": "x"}, {"server": {"api_keys": None}}, {"server": {"port": 0}}],
    ids=["no section", "text for a section", "nothing for a list", "a port that is none"],
)
def test_settings_that_no_start_writes_are_told(paths: Paths, raw: dict[str, Any], broken: dict[str, Any]):
    raw["settings"] |= broken
    paths.state_file.write_text(json.dumps(raw))

    with pytest.raises(ServerError, match="the record of the last start cannot be read"):
        read_state(paths.state_file)


@pytest.mark.parametrize("content", [None, "{", "{}"], ids=["missing", "broken", "foreign"])
def test_unreadable_state_is_told(tmp_path: Path, content: str | None):
    file = tmp_path / "state.json"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ServerError, match="the record of the last start cannot be read"):
        read_state(file)
    assert read_target(file) is None


def test_target_is_what_was_started(paths: Paths):
    settings = LocalAISettings.model_validate({"server": {"port": 9}, "model": {"path": "m"}})
    write_state(make_state(settings, paths), paths.state_file)

    target = read_target(paths.state_file)

    assert target is not None
    folders = {"data_dir": paths.data_dir, "hub_cache": paths.hub_cache, "cache_dir": paths.cache_dir}
    assert target == replace(target_of(settings), folders=folders)
    assert target == Target(
        "127.0.0.1", 9, "m", target.version, ("~/.lmstudio/models",), drain_s=10, folders=folders
    )


def test_folders_are_those_of_the_server_while_one_runs(paths: Paths, tmp_path: Path):
    write_state(make_state(LocalAISettings(), paths), paths.state_file)
    shell = Paths(tmp_path / "config", tmp_path, tmp_path / "b", tmp_path / "c", tmp_path / "d")

    stopped = running_paths(shell)
    paths.supervisor_socket.touch()

    assert stopped == shell
    assert running_paths(shell) == paths


def test_folders_are_those_of_the_shell_where_the_record_names_none(paths: Paths, raw: dict[str, Any]):
    """An older version, or one that cannot be read, is no reason to fail."""
    for name in ("data_dir", "hub_cache", "cache_dir"):
        del raw[name]
    paths.state_file.write_text(json.dumps(raw))
    paths.supervisor_socket.touch()

    assert running_paths(paths) == paths

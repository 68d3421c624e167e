"""Where everything lies on disk."""

from pathlib import Path

import pytest

from local_ai.settings.paths import MAX_SOCKET_PATH_BYTES, Paths, current_folder, find_paths


def test_paths_follow_the_xdg_variables():
    paths = find_paths({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"})

    assert paths == Paths(
        Path("/c/local-ai"),
        Path("/s/local-ai"),
        Path("/d/local-ai"),
        Path("/h/.cache/huggingface/hub"),
        Path("/h/.cache/local-ai"),
    )


def test_paths_fall_back_to_the_defaults_when_a_variable_is_relative():
    paths = find_paths({"HOME": "/h", "XDG_STATE_HOME": "relative"})

    assert paths.state_dir == Path("/h/.local/state/local-ai")
    assert paths.config_file == Path("/h/.config/local-ai/config.toml")


def test_paths_find_the_hub_cache_where_the_hub_variables_say():
    assert find_paths({"HOME": "/h", "HF_HOME": "/f"}).hub_cache == Path("/f/hub")
    assert find_paths({"HOME": "/h", "HF_HOME": "/f", "HF_HUB_CACHE": "/g"}).hub_cache == Path("/g")


def test_sockets_lie_in_the_state_directory_when_the_path_is_short():
    paths = find_paths({"HOME": "/h"})

    assert paths.supervisor_socket == paths.state_dir / "supervisord.sock"
    assert paths.engine_socket == paths.state_dir / "engine.sock"


def test_sockets_move_to_a_short_folder_of_their_own_when_the_path_is_too_long():
    long, other = (find_paths({"HOME": "/h", "XDG_STATE_HOME": f"/{letter * 100}"}) for letter in "ab")

    assert len(bytes(long.supervisor_socket)) <= MAX_SOCKET_PATH_BYTES
    assert long.socket_dir != other.socket_dir
    assert long.engine_socket.parent == long.socket_dir


def test_a_folder_that_is_gone_is_no_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert current_folder() == folder

    folder.rmdir()

    assert current_folder() is None

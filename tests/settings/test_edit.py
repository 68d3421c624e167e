"""One value changes in a settings file; everything else stays."""

from pathlib import Path

import pytest

from local_ai.errors import ConfigError
from local_ai.settings.edit import example_text, set_value
from local_ai.settings.load import load


def test_comments_order_and_mode_stay(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text('# mine\n[model] # here\npath = "old" # why\n\n[server]\nport = 1 # last\n')
    file.chmod(0o640)

    set_value(file, "model.path", "new")

    assert file.read_text() == '# mine\n[model] # here\npath = "new" # why\n\n[server]\nport = 1 # last\n'
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_missing_section_is_added(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text("[server]\nport = 1\n")

    set_value(file, "model.path", "new")

    assert load(config_path=file, environ={}).settings.model.path == "new"
    assert load(config_path=file, environ={}).settings.server.port == 1


def test_missing_file_is_made_from_the_commented_example(tmp_path: Path):
    file = tmp_path / "a/config.toml"

    set_value(file, "model.path", "new")

    assert load(config_path=file, environ={}).settings.model.path == "new"
    assert set(example_text().splitlines()) <= set(file.read_text().splitlines())


def test_link_stays_a_link(tmp_path: Path):
    real, link = tmp_path / "real.toml", tmp_path / "config.toml"
    real.write_text("")
    link.symlink_to(real)

    set_value(link, "model.path", "new")

    assert link.is_symlink()
    assert 'path = "new"' in real.read_text()


@pytest.mark.parametrize("text", ["[model\n", "model = 1\n"], ids=["broken", "not-a-table"])
def test_broken_file_is_left_as_it_was(tmp_path: Path, text: str):
    file = tmp_path / "config.toml"
    file.write_text(text)

    with pytest.raises(ConfigError, match="the settings file was not changed"):
        set_value(file, "model.path", "new")

    assert file.read_text() == text

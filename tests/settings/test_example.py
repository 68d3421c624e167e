"""config.example.toml: every key, with its default, and loadable."""

import re
from pathlib import Path

import pytest

from local_ai.errors import ConfigError
from local_ai.settings.edit import example_text, write_example
from local_ai.settings.load import known_keys, load
from local_ai.settings.schema import LocalAISettings, NamedModelSettings, PeerSettings


def uncommented() -> str:
    return re.sub(r"^# (\w+ = )", r"\1", example_text(), flags=re.MULTILINE)


def test_example_changes_nothing_as_it_is(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text(example_text())

    assert load(config_path=file, environ={}).settings == LocalAISettings()


def test_example_shows_every_key_with_its_default(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text(uncommented())

    loaded = load(config_path=file, environ={})

    assert set(loaded.origins) == set(known_keys()) - {"peers"}  # tables, which are tried below
    defaults = LocalAISettings()
    unset = {
        "generation": loaded.settings.generation.model_copy(update={"thinking": None}),
        "cluster": loaded.settings.cluster.model_copy(update={"python": None, "devices": None}),
    }
    assert loaded.settings.model_copy(update={"model": defaults.model, **unset}) == defaults


def test_example_of_one_models_own_values_and_of_a_peer_names_them_all(tmp_path: Path):
    text = re.sub(r"^# (\[models\.|\[\[peers|  \w+ = )", r"\1", example_text(), flags=re.MULTILINE)
    file = tmp_path / "config.toml"
    file.write_text(text)

    settings = load(config_path=file, environ={}).settings

    (own,), (peer,) = settings.models.named.values(), settings.peers
    assert set(own.model_dump()) == set(NamedModelSettings.model_fields)
    assert peer.model_fields_set == set(PeerSettings.model_fields)


def test_example_explains_every_key():
    lines = example_text().splitlines()
    settings = [index for index, line in enumerate(lines) if re.match(r"# \w+ = ", line)]

    assert settings
    assert all(lines[index - 1].startswith("# ") for index in settings)


def test_write_example_makes_the_folders(tmp_path: Path):
    file = tmp_path / "a/b/config.toml"

    write_example(file)

    assert file.read_text() == example_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_write_example_keeps_an_existing_file(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text("mine")

    with pytest.raises(ConfigError) as caught:
        write_example(file)

    assert file.read_text() == "mine"
    assert str(caught.value) == (
        "error: the settings file was not written\n"
        f"  why: {file} exists already, and it is not overwritten\n"
        f"  fix: edit that file, or write another with: local-ai config init --config {file}.new"
    )

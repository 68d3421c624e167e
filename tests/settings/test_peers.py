"""`[[peers]]`: names, addresses and keys, wherever they are shown."""

import json
from pathlib import Path

import pytest

from local_ai.errors import ConfigError
from local_ai.settings.describe import describe_all
from local_ai.settings.load import load
from local_ai.settings.paths import find_paths
from local_ai.settings.reload import compare
from local_ai.settings.schema import REVEAL, LocalAISettings
from local_ai.settings.secrets import find_secrets

KEY = "studio-secret"


def peers(**values: object) -> LocalAISettings:
    peer = {"name": "studio", "url": "http://studio.local:8080", "api_key": KEY} | values
    return LocalAISettings.model_validate({"peers": [peer]})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://studio.local:8080", "http://studio.local:8080"),
        ("https://Studio.local/v1/", "https://studio.local"),
        ("http://[fd00::1]:8000/v1", "http://[fd00::1]:8000"),
    ],
)
def test_an_address_is_kept_without_what_clients_append(given: str, kept: str):
    assert peers(url=given).peers[0].url == kept


@pytest.mark.parametrize(
    "url",
    [
        "studio:8080",
        "ftp://studio",
        "http://user:pass-word@studio",
        "http://studio/other",
        "http://studio/v1?x=1",
        "http://studio:0",
        "http://studio:99999",
        "http://stu dio",
        "http://studio\r\nX: y",
        "http://",
    ],
)
def test_other_addresses_are_refused_without_telling_a_password(url: str, tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text(f'[[peers]]\nname = "studio"\nurl = {json.dumps(url)}\napi_key = "{KEY}"\n')

    with pytest.raises(ConfigError) as caught:
        load(config_path=file, environ={})

    assert "peers.0.url: must be an address such as" in str(caught.value)
    assert KEY not in str(caught.value)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[peers]]\nurl = "http://a"', "peers.0.name: must be given"),
        (
            '[[peers]]\nname = "a b"\nurl = "http://a"',
            "peers.0.name: must be 1–40 letters, digits and dashes",
        ),
        (
            '[[peers]]\nname = "a@b"\nurl = "http://a"',
            "peers.0.name: must be 1–40 letters, digits and dashes",
        ),
        (
            '[[peers]]\nname = "a"\nurl = "http://a"\napi_key = "s e"',
            "peers.0.api_key: must be visible ASCII",
        ),
        ('[[peers]]\nname = "a"\nurl = "http://a"\nkey = "hidden"', "peers.0.key: unknown key"),
        (
            f'[[peers]]\nname = "a"\nurl = "http://a"\napi_key = "{KEY}"\n[[peers]]\nname = "A"\nurl = "http://b"',
            "peers: must have names of their own; 'a' is given twice (",
        ),
        ('[peers]\nname = "a"', "peers: must be tables, one for each peer: [[peers]]"),
        ('peers = ["http://a"]', "peers.0: must be a table of keys: [[peers]]"),
    ],
)
def test_mistakes_are_named_in_words(text: str, said: str, tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(config_path=file, environ={})

    assert said in str(caught.value)
    assert KEY not in str(caught.value)


def test_the_environment_gives_them_as_json():
    listed = json.dumps([{"name": "studio", "url": "http://studio", "api_key": KEY}])

    (peer,) = load(environ={"LOCAL_AI_PEERS": listed}).settings.peers

    assert peer.api_key is not None
    assert (peer.name, peer.api_key.get_secret_value()) == ("studio", KEY)


def test_a_key_is_shown_nowhere_and_kept_for_the_programs():
    settings = peers()
    shown = json.dumps(settings.model_dump(mode="json"))
    (row,) = (row for row in describe_all(settings, load(environ={})) if row.key == "peers")

    assert KEY not in shown + repr(settings) + repr(row)
    assert KEY in json.dumps(settings.model_dump(mode="json", context=REVEAL))
    assert KEY in find_secrets(settings, find_paths(), None, {})


def test_they_are_shown_in_the_form_and_changed_in_the_file():
    (row,) = (row for row in describe_all(peers(), load(environ={})) if row.key == "peers")

    assert (row.kind, row.in_place, row.can_change) == ("records", True, False)
    assert row.text == ""  # of what a restart would take


@pytest.mark.parametrize("table", ['[aliases]\n"x@Studio" = "tiny"', '[models.tiny]\naliases = ["x@Studio"]'])
def test_an_alias_that_looks_like_a_peers_model_is_refused(table: str, tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text(f'{table}\n[[peers]]\nname = "studio"\nurl = "http://a"\n')

    with pytest.raises(ConfigError) as caught:
        load(config_path=file, environ={})

    assert "peers: the alias 'x@Studio' would never answer: it names a model of the peer studio" in str(
        caught.value
    )


def test_a_running_server_takes_another_key_in_place():
    reload = compare(peers(), peers(api_key="another-one"))

    assert [change.key for change in reload.changed] == ["peers"]
    assert reload.settings.peers == peers(api_key="another-one").peers
    assert "another-one" not in repr(reload.changed)
    assert "'api_key': '********** (another key)'" in repr(reload.changed[0].after)
    assert "another key" not in repr(compare(peers(), peers(max_concurrency=2)).changed)

"""Settings as the programs read them back: what was validated, without what validates."""

import subprocess
import sys
from typing import Any

import pytest

from local_ai.settings.load import known_keys
from local_ai.settings.record import read_record, to_plain
from local_ai.settings.schema import REVEAL, LocalAISettings

SETTINGS = LocalAISettings.model_validate(
    {
        "server": {"api_keys": ["sesame-open"], "allowed_hosts": ["box"], "drain_s": 1.5},
        "model": {"path": "m", "adapter_path": "/a"},
        "models": {"paths": ["~/models", "/b"]},
        "aliases": {"gpt-4o": "default", "a.b": "m"},
    }
)
RAW: dict[str, Any] = SETTINGS.model_dump(mode="json", context=REVEAL)


def value(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


@pytest.mark.parametrize("settings", [SETTINGS, LocalAISettings()], ids=["set", "defaults"])
def test_every_setting_reads_as_it_does_where_it_was_validated(settings: LocalAISettings):
    record = read_record(settings.model_dump(mode="json", context=REVEAL))

    keys = [key for key in known_keys() if key != "server.api_keys"]
    assert {key: value(record, key) for key in keys} == {key: value(settings, key) for key in keys}
    secrets = [[key.get_secret_value() for key in each.server.api_keys] for each in (record, settings)]
    assert secrets[0] == secrets[1]


def test_record_is_written_as_it_was_read():
    record = read_record(RAW)

    assert to_plain(record, reveal_secrets=True) == RAW
    assert read_record(RAW) == record


def test_secrets_are_shown_nowhere():
    record = read_record(RAW)

    assert "sesame" not in f"{record} {record!r} {record.server} {to_plain(record)}"


def test_record_is_frozen():
    with pytest.raises(AttributeError, match="settings are frozen"):
        read_record(RAW).server.port = 1  # type: ignore[misc]


def test_what_an_older_start_knew_nothing_of_has_its_default():
    older = {section: values for section, values in RAW.items() if section != "gateway"}
    older["server"] = {name: item for name, item in RAW["server"].items() if name != "drain_s"}

    record = read_record(older)

    assert (record.gateway.max_queue, record.server.drain_s) == (512, 10)


@pytest.mark.parametrize(
    "broken",
    [{"server": None}, {"server": "x"}, {"server": RAW["server"] | {"api_keys": None}}],
    ids=["no section", "text for a section", "nothing for a list"],
)
def test_what_no_start_writes_is_refused(broken: dict[str, Any]):
    with pytest.raises(TypeError):
        read_record(RAW | broken)


@pytest.mark.parametrize(
    "modules",
    ["local_ai.gateway.__main__, local_ai.gateway.app", "local_ai.engine.__main__, local_ai.engine.app"],
    ids=["gateway", "engine"],
)
def test_programs_do_without_what_validates(modules: str):
    code = f"import sys, {modules}; sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

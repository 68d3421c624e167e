"""docs/json.md describes every field of every `--json` output, and no other."""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from tests.fake_hub import run_hub
from tests.server import SCRIPT, Server

from local_ai.cli.command_list import COMMANDS
from local_ai.models.catalog import Incomplete
from local_ai.status.deep_probe import DeepProbe
from local_ai.status.health import (
    EngineHealth,
    MarkedModel,
    ModelInMemory,
    PeerHealth,
    Queue,
    QueuedRequest,
    RankHealth,
)

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs/json.md").read_text()
# Per title of a command, and per table in it, the fields of the first column.
SECTIONS = {
    title: {
        head: [
            name
            for row in re.findall(r"^\| (`.*?) \|", rows, re.MULTILINE)
            for name in re.findall(r"`(\w+)`", row)
        ]
        for head, rows in re.findall(r"\| (field[^|]*?) \| meaning \|\n((?:\|.*\n)+)", text)
    }
    for title, text in re.findall(r"^## `([^`]*) --json`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}  # type: ignore[arg-type]


def test_every_command_that_prints_json_has_its_section():
    assert set(SECTIONS) == {each.title for each in COMMANDS if each.option("--json")}


def test_status_is_as_described(running: Server):
    section = SECTIONS["server status"]

    report = json.loads(running.run("status", "--json", "--deep").stdout)

    assert set(report) == set(section["field"])
    assert set(report["verdict"]) == set(section["field of `verdict`"])
    assert set(report["programs"][0]) == set(section["field of a program"])
    assert set(report["engine"]) == set(section["field of `engine`"]) == names(EngineHealth)
    (held,) = report["engine"]["models"]
    assert set(held) == set(section["field of a model in memory"]) == names(ModelInMemory)
    assert set(section["field of a rank"]) == names(RankHealth)
    assert set(report["queue"]) == set(section["field of `queue`"]) == names(Queue)
    assert set(section["field of a peer"]) == names(PeerHealth)
    for kind in (QueuedRequest, MarkedModel, DeepProbe):
        assert all(f"`{name}`" in PAGE for name in names(kind))


def test_logs_are_as_described(running: Server):
    shown = running.run("logs", "--program", "gateway", "--json").stdout

    lines = [json.loads(line) for line in shown.splitlines()]
    assert all(set(line) == set(SECTIONS["server logs"]["field"]) for line in lines)
    assert any(line["level"] == "INFO" and line["logger"] == "local_ai.gateway" for line in lines)


def test_models_are_as_described(server: Server):
    listed = json.loads(server.run("list", "--json").stdout)
    info = json.loads(server.run("models", "info", "tiny", "--json").stdout)

    assert set(listed) == set(SECTIONS["models list"]["field"])
    assert set(info) == set(SECTIONS["models info"]["field"])
    assert set(listed["models"][0]) == set(info) - {"thoughts", "calls"}
    assert all(f"`{name}`" in PAGE for name in names(Incomplete))


def test_pull_is_as_described(make_server: Callable[..., Server], tiny_model: Path):
    with run_hub() as hub:
        hub.models["org/tiny"] = tiny_model
        server = make_server(model=None, HF_ENDPOINT=hub.url)
        pulled = json.loads(server.run("pull", f"{hub.url}/org/tiny/tree/main", "--json").stdout)

    assert set(pulled) == set(SECTIONS["models pull"]["field"])
    assert pulled["id"] == "org/tiny"


def test_the_service_is_as_described(server: Server):
    without_port = f"env -u LOCAL_AI_SERVER__PORT {SCRIPT} service status --json"
    shown = json.loads(server.shell(without_port).stdout)

    assert set(shown) == set(SECTIONS["service status"]["field"])


def test_the_doctor_is_as_described(server: Server):
    shown = json.loads(server.run("doctor", "--json").stdout)

    assert set(shown) == set(SECTIONS["self doctor"]["field"])
    assert all(set(check) == set(SECTIONS["self doctor"]["field of a check"]) for check in shown["checks"])


def test_the_cache_is_as_described(server: Server):
    folder = server.paths.cache_dir / "prompts/of-a-model"
    folder.mkdir(parents=True)
    (folder / "b-1.safetensors").write_bytes(b"12345")

    shown = json.loads(server.run("cache", "--json").stdout)

    assert set(shown) == set(SECTIONS["cache show"]["field"])
    assert set(shown["models"][0]) == set(SECTIONS["cache show"]["field of a model"])


def test_parts_are_as_described(server: Server):
    shown = json.loads(server.run("omni", "parts", "--json").stdout)

    assert all(set(row) == set(SECTIONS["omni parts"]["field"]) for row in shown)
    assert SECTIONS["omni install"] == SECTIONS["omni parts"]


def test_settings_are_as_described(server: Server):
    shown = json.loads(server.run("config", "--json").stdout)

    assert all(set(row) == set(SECTIONS["config show"]["field"]) for row in shown.values())

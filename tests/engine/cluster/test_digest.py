"""A model is known on another host by its digest."""

import shutil
from pathlib import Path

import pytest

from local_ai.engine.cluster.digest import model_digest


def test_a_copy_has_the_same_digest_wherever_it_lies(tiny_model: Path, tmp_path: Path):
    assert model_digest(shutil.copytree(tiny_model, tmp_path / "copy")) == model_digest(tiny_model)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_model_with_another_last_byte_has_another_digest(tiny_model: Path, tmp_path: Path, name: str):
    file = shutil.copytree(tiny_model, tmp_path / "copy") / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    assert model_digest(file.parent) != model_digest(tiny_model)

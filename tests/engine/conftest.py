"""One engine with tiny models for all tests, one with the starter model for those that need sense."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.running import RunningEngine, running_engine
from tests.tiny_model import make_tiny_embedder, make_tiny_model


def fill_with_tiny_models(folder: Path) -> None:
    """Every kind of model that tests ask for by name."""
    make_tiny_model(folder / "plain")
    make_tiny_model(folder / "other", seed=1)
    make_tiny_model(folder / "tools", tools=True)
    make_tiny_model(folder / "thinker", tools=True, thinking=True)
    make_tiny_model(folder / "short", context_tokens=64)
    make_tiny_embedder(folder / "embedder")
    cut = make_tiny_model(folder / "cut-off") / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-100])
    config = make_tiny_model(folder / "strange") / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"unheard_of"'))
    make_misshapen_model(folder / "misshapen")


def make_misshapen_model(folder: Path) -> Path:
    """Write a model that is whole by its files, and yet not loadable: weights of another shape."""
    shape = make_tiny_model(folder) / "config.json"
    shape.write_text(shape.read_text().replace('"intermediate_size": 128', '"intermediate_size": 96'))
    return folder


@pytest.fixture(scope="session")
def engine() -> Iterator[RunningEngine]:
    with running_engine(fill_with_tiny_models, {"model": {"path": "plain"}}) as engine:
        yield engine


@pytest.fixture(scope="session")
def starter(starter_model: Path) -> Iterator[RunningEngine]:
    with running_engine(lambda models: (models / starter_model.name).symlink_to(starter_model)) as engine:
        yield engine

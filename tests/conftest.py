"""Real servers for any test: not started yet, or ready; gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.server import Server, end, free_port


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers nonsense, fast."""
    # Here, not above: numpy and tokenizers take longer to import than most tests take to run.
    from tests.tiny_model import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def starter_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real starter model, prepared once."""
    from local_ai.models.starter import prepare_starter

    return prepare_starter(tmp_path_factory.mktemp("data"))


@pytest.fixture
def make_server(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> Iterator[Callable[..., Server]]:
    """Make servers that answer with the tiny model unless told otherwise; end them all afterwards."""
    made: list[Server] = []

    def make(*, model: Path | None = tiny_model, **environment: str) -> Server:
        server = Server(tmp_path_factory.mktemp("s"), free_port(), environment)
        if model:
            models = server.paths.models_dir
            models.mkdir(parents=True)
            (models / model.name).symlink_to(model)
        made.append(server)
        return server

    yield make
    for server in made:
        end(server)


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A server that is not started yet."""
    return make_server()


@pytest.fixture
def running(server: Server) -> Server:
    """A server that is ready."""
    server.start()
    return server

"""What any test may ask for: real servers, not started yet or ready, gone afterwards; and a browser."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.server import (
    Server,
    command_line,
    end,
    free_port,
    is_as_started,
    own_pids,
    remove_additions,
    traces,
)
from tests.waits import scaled

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Scale the longest a test may take to this machine, and give children what they have anywhere.

    A shell starts what runs in the background with SIGINT ignored, which every child would inherit. Images of
    containers often tell Python to keep no bytecode: an engine's start would be mostly compiling. OpenBLAS's
    threads wait for each other in busy loops: with more of them than cores, a model is up to 15 times slower.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if config.getoption("timeout", None) is None:
        config.option.timeout = scaled(float(config.getini("timeout")))
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that take long, so that at the end no worker is alone with one: see `inv check`.

    Those whose tests may take longest, then those that start processes.
    """

    def rank(item: pytest.Item) -> tuple[float, bool]:
        limit = item.get_closest_marker("timeout")
        return -(limit.args[0] if limit else 0), item.get_closest_marker("integration") is None

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After all tests, no process works in the folders they were given."""
    yield
    folders = str(tmp_path_factory.getbasetemp())
    left = [words for words in map(command_line, psutil.process_iter()) if folders in " ".join(words)]
    assert left == []


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short name, unlike pytest's own: a socket's path must not be long."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model that answers nonsense, fast."""
    yield from shared_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model that answers nonsense until it is stopped, for seconds if it may."""
    yield from shared_model(tmp_path_factory.mktemp("models") / "endless", endless=True)


def shared_model(folder: Path, **options: bool) -> Iterator[Path]:
    """Make a model that many tests use by a link, and see that none of them has changed it."""
    # Here, not above: numpy and tokenizers take longer to import than most tests take to run.
    from tests.tiny_model import make_tiny_model

    made = contents(make_tiny_model(folder, **options))
    yield folder
    assert contents(folder) == made


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="session")
def starter_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real starter model, prepared once for all workers."""
    from local_ai.models.starter import prepare_starter

    own = tmp_path_factory.getbasetemp()
    return prepare_starter((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "starter")


@pytest.fixture(scope="session")
def seeing_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that names the colours of pictures, trained once for all workers."""
    from tests.seeing_model import train_seeing_model

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "seeing"
    with (shared / "seeing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder if (folder / "model.safetensors").exists() else train_seeing_model(folder)


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
    # Each is ended, also where another would not end.
    with ExitStack() as ending:
        for server in made:
            ending.callback(end, server)


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A server that is not started yet."""
    return make_server()


@pytest.fixture(scope="session")
def kept() -> Iterator[list[Server]]:
    """The server that tests run on, until one of them changes it."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        end(server)


@pytest.fixture
def running(
    kept: list[Server], tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> Iterator[Server]:
    """A server that is ready: the last one, where its test has left it as it is after a start.

    What a test adds to its settings and models is removed again.
    """
    if not kept:
        server = Server(tmp_path_factory.mktemp("s"), free_port())
        models = server.paths.models_dir
        models.mkdir(parents=True)
        (models / tiny_model.name).symlink_to(tiny_model)
        kept.append(server)
        server.start()
    (server,) = kept
    before, pids = traces(server), own_pids(server)
    yield server
    remove_additions(server, before)
    if traces(server) != before or (own_pids(server) != pids and not is_as_started(server)):
        end(server)
        kept.clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. While it is there no test can run a loop of its own: playwright's runs."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine: the page was not tested in a browser")
    # Chromium refuses to start its sandbox as root, which is what containers run as.
    flags = [*_FLAGS, "--no-sandbox"] if os.getuid() == 0 else _FLAGS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()

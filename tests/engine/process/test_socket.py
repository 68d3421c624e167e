"""The engine's private socket and pid file."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_ai.engine.process.socket import listen, pid_file
from local_ai.errors import ServerError


@pytest.fixture
def short_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lai-") as folder:
        yield Path(folder) / "engine.sock"


def test_listen_gives_a_socket_for_the_owner_alone(short_path: Path):
    with listen(short_path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(short_path))

        assert stat.S_IMODE(short_path.stat().st_mode) == 0o600


def test_listen_replaces_the_socket_of_a_killed_engine(short_path: Path):
    listen(short_path).close()
    assert short_path.exists()

    with listen(short_path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(short_path))


def test_listen_leaves_a_living_engine_alone(short_path: Path):
    with listen(short_path), pytest.raises(ServerError) as caught:
        listen(short_path)

    assert str(caught.value) == (
        "error: the engine did not start\n"
        f"  why: another engine answers on {short_path}\n"
        "  fix: local-ai server stop, then: local-ai server start"
    )


def test_listen_explains_a_path_that_is_too_long(tmp_path: Path):
    with pytest.raises(ServerError) as caught:
        listen(tmp_path / ("x" * 120))

    assert "its socket" in caught.value.why
    assert "too long" in caught.value.why


def test_pid_file_lasts_as_long_as_its_process(tmp_path: Path):
    file = tmp_path / "server.pid"

    with pid_file(file):
        assert int(file.read_text()) == os.getpid()

    assert not file.exists()


def test_pid_file_of_another_process_is_left_alone(tmp_path: Path):
    file = tmp_path / "server.pid"

    with pid_file(file):
        file.write_text("1\n")

    assert file.exists()

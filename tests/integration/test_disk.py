"""A state directory on a disk that is full or read-only: a small file system of the test's own."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.server import Server

pytestmark = pytest.mark.integration


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One megabyte of memory as a disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def server(make_server: Callable[..., Server], small_disk: Path) -> Server:
    return make_server(XDG_STATE_HOME=str(small_disk))


def fill(disk: Path) -> Path:
    file = disk / "fill"
    with file.open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        while True:
            stream.write(bytes(4096))
    return file


def test_full_disk_refuses_a_start_and_starts_nothing(server: Server, small_disk: Path):
    server.paths.logs_dir.mkdir(parents=True)
    fill(small_disk)

    refused = server.run("server.start")

    assert refused.returncode == 1, refused.stderr
    assert refused.stderr.startswith("error: the server did not start\n  why: ")
    assert "could not be written: No space left on device\n" in refused.stderr
    assert refused.stderr.endswith("  fix: free some space there, then run the command again\n")
    assert server.processes() == []
    assert not server.paths.supervisor_socket.exists()


def test_disk_that_fills_up_keeps_what_runs_and_the_old_files(server: Server, small_disk: Path):
    server.start()
    before = server.paths.state_file.read_text()
    fill(small_disk)

    again, shown = server.run("server.start"), server.run("server.status")

    assert (again.returncode, shown.returncode) == (0, 0), again.stderr
    assert server.paths.state_file.read_text() == before
    assert server.stop().stdout == "Stopped.\n"


def test_read_only_disk_is_a_settings_error(server: Server, small_disk: Path):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    refused = server.run("server.start")

    assert refused.returncode == 2
    assert refused.stderr == (
        "error: the state directory cannot be used\n"
        f"  why: {server.paths.state_dir} cannot be written to: Read-only file system\n"
        "  fix: set XDG_STATE_HOME to a folder you can write to\n"
    )

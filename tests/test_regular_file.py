"""Whatever lies where one of our own files belongs, reading it neither hangs nor fills memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.waits import scaled

from local_ai.cli.completion_file import _split
from local_ai.clients.configure import _read
from local_ai.errors import LocalAIError
from local_ai.models.prompt_files import read_written
from local_ai.regular_file import open_regular, read_regular
from local_ai.settings.paths import Paths
from local_ai.settings.secrets import _keys_in
from local_ai.settings.state import read_given, read_state, read_target
from local_ai.status.observe import _pid_in
from local_ai.supervision.crashes import read_crashes
from local_ai.supervision.lock import is_held
from local_ai.supervision.log_files import follow, tail
from local_ai.supervision.supervisord import find_supervisord


def _paths(folder: Path) -> Paths:
    return Paths(folder, folder, folder, folder, folder)


READERS: dict[str, Callable[[Path], object]] = {
    "state.json": read_state,
    "target": read_target,
    "given": read_given,
    "keys": lambda file: [*_keys_in(file)],
    "pid": _pid_in,
    "supervisord.pid": lambda file: find_supervisord(_paths(file.parent)),
    "log": lambda file: tail(file, lines=3),
    "crashes": lambda file: read_crashes(file, max_crashes=3),
    "lock": is_held,
    "client's settings": lambda file: _read("codex", file),
    "completion": _split,
    "written.json": lambda file: read_written(file.parent),
    "followed log": lambda file: next(follow(file, wait=_give_up)),
}


def _give_up() -> None:
    raise OSError("nothing to follow")


def _zeros(file: Path) -> None:
    file.symlink_to("/dev/zero")


def _huge(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(2**40)


@pytest.mark.parametrize(
    "put", [os.mkfifo, Path.mkdir, _zeros, _huge], ids=["pipe", "folder", "device", "huge"]
)
@pytest.mark.parametrize("name", READERS)
def test_anything_in_place_of_an_own_file_is_read_or_refused_at_once(
    name: str, put: Callable[[Path], None], tmp_path: Path
) -> None:
    file = tmp_path / name.replace(" ", "-").replace("'", "")
    put(file)
    ended = threading.Event()

    def read() -> None:
        try:
            READERS[name](file)
        except (OSError, LocalAIError):
            pass
        finally:
            ended.set()

    threading.Thread(target=read, daemon=True).start()

    assert ended.wait(scaled(10))


def test_a_regular_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 2**20)

    assert read_regular(file, most_bytes=2**20) == file.read_bytes()
    file.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(OSError, match="it has more than 1 MB"):
        read_regular(file, most_bytes=2**20)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(OSError, match="it is not a regular file"):
        open_regular(Path(os.devnull))

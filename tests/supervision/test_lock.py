"""One start or stop at a time."""

import os
from pathlib import Path

import pytest

from local_ai.errors import ServerError
from local_ai.supervision.lock import exclusive, is_held


def test_lock_is_free_again_after_the_block(tmp_path: Path):
    for _ in range(2):
        with exclusive(tmp_path / "lock", timeout_s=0):
            pass


def test_second_holder_is_told_who_has_it(tmp_path: Path):
    file = tmp_path / "lock"

    with (
        exclusive(file, timeout_s=0),
        pytest.raises(ServerError) as caught,
        exclusive(file, timeout_s=0, poll_s=0),
    ):
        pass

    assert str(caught.value) == (
        "error: another start or stop is still running\n"
        f"  why: pid {os.getpid()} holds {file}\n"
        "  fix: wait for it to end, or stop that process, then run the command again"
    )


def test_lock_file_is_private_and_no_link_is_followed(tmp_path: Path):
    file = tmp_path / "lock"
    with exclusive(file, timeout_s=0):
        assert file.stat().st_mode & 0o777 == 0o600

    link = tmp_path / "link"
    link.symlink_to(tmp_path / "victim")

    with pytest.raises(OSError), exclusive(link, timeout_s=0):
        pass
    assert not (tmp_path / "victim").exists()


def test_lock_is_seen_while_it_is_held(tmp_path: Path):
    file = tmp_path / "lock"

    before = is_held(file)
    with exclusive(file, timeout_s=0):
        during = is_held(file)

    assert (before, during, is_held(file)) == (False, True, False)

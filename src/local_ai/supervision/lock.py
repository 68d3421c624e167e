"""One start or stop at a time: an flock that the kernel frees when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from local_ai.errors import ServerError


@contextmanager
def exclusive(file: Path, *, timeout_s: float, poll_s: float = 0.02) -> Iterator[None]:
    """Hold the lock for the block.

    Raises:
        ServerError: Another command held it for longer than `timeout_s`.
    """
    # No O_TRUNC: the file holds the pid of the lock's owner. Not inherited by children.
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        while not _try(handle):
            if time.monotonic() > deadline:
                raise ServerError(
                    "another start or stop is still running",
                    why=f"pid {os.pread(handle, 32, 0).decode(errors='replace') or 'unknown'} holds {file}",
                    fix="wait for it to end, or stop that process, then run the command again",
                )
            time.sleep(poll_s)
        _sign(handle)
        yield
    finally:
        os.close(handle)


def is_held(file: Path) -> bool:
    """True if a command holds the lock now."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _sign(handle: int) -> None:
    """Write our pid for commands that wait; a full disk must not prevent a stop."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Read the programs' log files: the last lines, and what comes after, across rotation.

The files, not supervisord's log calls: those break on control bytes (supervisor 4.3).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_MAX_TAIL_BYTES = 4 * 1024 * 1024


def tail(file: Path, *, lines: int) -> list[str]:
    """Return the last lines, without their line ends; [] where there is no file yet."""
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, size - _MAX_TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:] if lines else []


def follow(
    file: Path, *, lines: int = 0, wait: Callable[[], object] = lambda: time.sleep(0.2)
) -> Iterator[str]:
    """Yield each whole line written from now on, for ever; a rotated file is read to its end first.

    Args:
        lines: So many of the last lines come first; none is lost or repeated between them and what follows.
        wait: Called whenever there is nothing new.
    """
    stream = _open(file)
    if stream:
        stream.seek(_start_of_last(stream, lines))
    rest = b""
    while True:
        chunk = stream.read(1024 * 1024) if stream else b""
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
        if not chunk:
            stream = _current(file, stream)
            wait()


def _open(file: Path) -> BinaryIO | None:
    try:
        return file.open("rb", buffering=0)
    except OSError:
        return None


def _start_of_last(stream: BinaryIO, lines: int) -> int:
    size = stream.seek(0, os.SEEK_END)
    start = max(0, size - _MAX_TAIL_BYTES)
    stream.seek(start)
    before, *last = stream.read(size - start).rsplit(b"\n", lines + 1)
    if not lines:
        return size
    return start + len(before) + 1 if len(last) > lines else start


def _current(file: Path, stream: BinaryIO | None) -> BinaryIO | None:
    """Return the stream, or a new one where the file was rotated (new inode) or cut (now shorter)."""
    try:
        now = file.stat()
    except OSError:
        return stream
    if stream is None:
        return _open(file)
    old = os.fstat(stream.fileno())
    if now.st_ino != old.st_ino:
        stream.close()
        return _open(file)
    if now.st_size < stream.tell():
        stream.seek(0)
    return stream

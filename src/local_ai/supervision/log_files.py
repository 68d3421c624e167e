"""Read the programs' log files: the last lines, and what comes after, across rotation.

The files, not supervisord's log calls: those break on control bytes (supervisor 4.3).
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from local_ai.regular_file import open_regular

_MAX_TAIL_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
# As our programs write it (serving/nonblocking_log.py) and supervisord does (supervisor 4.3, loggers.py).
_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) (?:(?P<logger>[\w.]+): )?"
    r"(?P<message>.*?)(?: \[(?P<id>[\w.:/+=@-]{1,128})\])?"
)
_SUPERVISORD_LEVELS = {"CRIT": "CRITICAL", "ERRO": "ERROR", "WARN": "WARNING", "DEBG": "DEBUG"}


@dataclass(frozen=True)
class LogLine:
    """A line of a log, taken apart; a traceback's and a foreign program's are messages alone."""

    time: str | None  # ISO 8601, with the offset from UTC
    level: str | None  # DEBUG | INFO | WARNING | ERROR | CRITICAL
    logger: str | None
    message: str
    request_id: str | None


def parse_line(line: str) -> LogLine:
    """Take a line apart that the gateway, the engine or supervisord wrote."""
    found = _LINE.fullmatch(line)
    if found is None:
        return LogLine(None, None, None, line, None)
    time = (
        datetime.fromisoformat(found["time"].replace(",", "."))
        .astimezone()
        .isoformat(timespec="milliseconds")
    )
    level = _SUPERVISORD_LEVELS.get(found["level"], found["level"])
    return LogLine(time, level, found["logger"], found["message"], found["id"])


def tail(file: Path, *, lines: int) -> list[str]:
    """Return the last lines, without their line ends; [] where there is no file yet."""
    try:
        with open_regular(file) as stream:
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
    for chunk in _chunks(file, stream, wait):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)


def _chunks(file: Path, stream: BinaryIO | None, wait: Callable[[], object]) -> Iterator[bytes]:
    """Yield what is in the file from here on, however often it is rotated meanwhile."""
    while True:
        if chunk := stream.read(_CHUNK_BYTES) if stream else b"":
            yield chunk
            continue
        if stream and _is_rotated(file, stream):
            # All opened now: while their lines are taken they may be rotated on.
            files = [*_rotated_since(file, stream), file]
            newer = [opened for each in files if (opened := _open(each))]
            # The old files get no more lines, but some may have come after this one was read.
            for old in (stream, *newer[:-1]):
                yield old.read()
                old.close()
            stream = newer[-1] if newer else None
        if stream is None:
            stream = _open(file)
        elif os.fstat(stream.fileno()).st_size < stream.tell():  # cut
            stream.seek(0)
        wait()


def _open(file: Path) -> BinaryIO | None:
    try:
        return open_regular(file)
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


def _is_rotated(file: Path, stream: BinaryIO) -> bool:
    try:
        return file.stat().st_ino != os.fstat(stream.fileno()).st_ino
    except OSError:
        return False


def _rotated_since(file: Path, stream: BinaryIO) -> list[Path]:
    """Return the rotated files that are newer than this one, the oldest first: "a.log.2", "a.log.1"."""
    inode = os.fstat(stream.fileno()).st_ino
    newer: list[Path] = []
    while True:
        rotated = file.with_name(f"{file.name}.{len(newer) + 1}")
        try:
            if rotated.stat().st_ino == inode:
                return newer[::-1]
        except OSError:
            return []  # rotated too often, or by a tool that names files differently
        newer.append(rotated)

"""A log that nobody reads keeps no program from its work."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_ai.errors import LocalAIError
from local_ai.serving import nonblocking_log
from local_ai.serving.nonblocking_log import NonblockingHandler, RequestIdFormatter
from local_ai.serving.request_id import REQUEST_ID

_PIPE_BYTES = 64 * 1024


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def emit(handler: NonblockingHandler, text: str) -> None:
    handler.handle(logging.LogRecord("name", logging.INFO, "file", 1, text, None, None))


def read_lines(reader: int, count: int) -> list[str]:
    """Read until so many lines are there."""
    text = b""
    while text.count(b"\n") < count:
        text += os.read(reader, 1 << 20)
    return text.decode().splitlines()


def test_line_is_written_at_once(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    emit(NonblockingHandler(writer), "hello")

    assert read_lines(reader, 1) == ["hello"]


def test_lines_that_nobody_reads_are_kept_and_written_later_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = NonblockingHandler(writer)
    lines = [f"{number} {'x' * 200}" for number in range(_PIPE_BYTES * 3 // 2 // 200)]

    for line in lines:
        emit(handler, line)
    first = read_lines(reader, 1)
    emit(handler, "last")

    assert [*first, *read_lines(reader, len(lines) + 1 - len(first))] == [*lines, "last"]


def test_line_longer_than_the_pipe_takes_at_once_comes_whole(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    emit(NonblockingHandler(writer), "y" * 20_000)

    assert read_lines(reader, 1) == ["y" * 20_000]


def test_what_is_too_much_to_keep_is_counted(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonblocking_log, "_MOST_KEPT", 2)
    reader, writer = pipe
    handler = NonblockingHandler(writer)
    os.write(writer, b"z" * _PIPE_BYTES)

    for number in range(5):
        emit(handler, str(number))
    os.read(reader, _PIPE_BYTES)
    emit(handler, "last")

    assert read_lines(reader, 4) == [
        "0",
        "1",
        "(3 lines are missing here: the log was not read in time)",
        "last",
    ]


def test_reader_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)

    emit(NonblockingHandler(writer), "hello")

    os.close(writer)


def test_line_ends_with_the_id_of_its_request() -> None:
    formatter = RequestIdFormatter("%(levelname)s %(message)s")
    record = logging.LogRecord("name", logging.INFO, "file", 1, "hello", None, None)
    outside = formatter.format(record)
    token = REQUEST_ID.set("req_1")

    inside = formatter.format(record)

    REQUEST_ID.reset(token)
    assert (outside, inside) == ("INFO hello", "INFO hello [req_1]")


def test_a_line_break_in_a_name_or_path_does_not_begin_a_line() -> None:
    said = ("model=%s in %s: %s", "a\nb\x1b[31m", Path("/c\nd"), LocalAIError("no", why="e\nf", fix="g"))
    record = logging.LogRecord("name", logging.INFO, "file", 1, said[0], said[1:], None)

    written = RequestIdFormatter("%(message)s").format(record)

    assert written.splitlines() == [
        "model=a\\nb\\x1b[31m in /c\\nd: error: no",
        "  why: e\\nf",
        "  fix: g",
    ]

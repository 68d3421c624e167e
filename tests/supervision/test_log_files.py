"""Log files: the last lines, and what comes after."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local_ai.supervision.log_files import LogLine, follow, parse_line, tail


def test_tail_returns_the_last_lines(tmp_path: Path):
    file = tmp_path / "a.log"
    file.write_text("one\ntwo\nthree\n")

    assert tail(file, lines=2) == ["two", "three"]
    assert tail(file, lines=0) == []
    assert tail(tmp_path / "missing.log", lines=5) == []


def test_tail_survives_bytes_that_are_not_text(tmp_path: Path):
    file = tmp_path / "a.log"
    file.write_bytes(b"\xff\x00ok\n")

    assert tail(file, lines=1) == ["\ufffd\x00ok"]


@pytest.mark.parametrize("begin", ["old\n", None], ids=["file-there", "file-comes-later"])
def test_follow_yields_what_is_written_from_now_on(tmp_path: Path, begin: str | None):
    file = tmp_path / "a.log"
    if begin:
        file.write_text(begin)

    lines = Follower(file)
    lines.then(lambda: append(file, "new\nha"))
    lines.then(lambda: append(file, "lf\n"))

    assert lines.take(2) == ["new", "half"]


def test_follow_reads_a_rotated_file_to_its_end_and_goes_on_with_the_new_one(tmp_path: Path):
    file = tmp_path / "a.log"
    file.write_text("old\n")

    def rotate() -> None:
        append(file, "last of the old\n")
        file.rename(tmp_path / "a.log.1")
        file.write_text("first of the new\n")

    lines = Follower(file)
    lines.then(rotate)

    assert lines.take(2) == ["last of the old", "first of the new"]


def test_follow_reads_every_file_that_was_rotated_since(tmp_path: Path):
    file = tmp_path / "a.log"
    file.write_text("old\n")

    def rotate_twice() -> None:
        append(file, "last of the old\n")
        file.rename(tmp_path / "a.log.2")
        (tmp_path / "a.log.1").write_text("between\n")
        (tmp_path / "a.log.3").write_text("older still\n")
        file.write_text("first of the new\n")

    lines = Follower(file)
    lines.then(rotate_twice)

    assert lines.take(3) == ["last of the old", "between", "first of the new"]


def test_follow_loses_nothing_where_a_file_is_rotated_while_lines_are_taken(tmp_path: Path):
    file = tmp_path / "a.log"
    file.write_text("0\n")

    def rotate(*, text: str) -> None:
        file.rename(tmp_path / "a.log.1")
        file.write_text(text)

    lines = Follower(file)
    lines.then(lambda: append(file, "1\n"))
    lines.then(lambda: (append(file, "2\n"), rotate(text="3\n")))
    taken = lines.take(2)
    (tmp_path / "a.log.1").rename(tmp_path / "a.log.2")
    rotate(text="4\n")

    assert [*taken, *lines.take(2)] == ["1", "2", "3", "4"]


def test_follow_goes_on_where_the_old_file_is_gone(tmp_path: Path):
    file = tmp_path / "a.log"
    file.write_text("old\n")

    def replace() -> None:
        file.rename(tmp_path / "elsewhere")
        (tmp_path / "a.log.1").write_text("seen long ago\n")
        file.write_text("new\n")

    lines = Follower(file)
    lines.then(replace)

    assert lines.take(1) == ["new"]


def test_follow_starts_again_when_the_file_was_cut(tmp_path: Path):
    file = tmp_path / "a.log"
    file.write_text("a long line that was there\n")

    lines = Follower(file)
    lines.then(lambda: file.write_text("new\n"))

    assert lines.take(1) == ["new"]


def append(file: Path, text: str) -> None:
    with file.open("a") as stream:
        stream.write(text)


class Follower:
    """Runs one step each time the follower would wait, so that no test waits for time to pass."""

    def __init__(self, file: Path) -> None:
        self._steps: list[Callable[[], object]] = []
        self._lines = follow(file, wait=self._step)

    def then(self, step: Callable[[], object]) -> None:
        self._steps.append(step)

    def take(self, count: int) -> list[str]:
        return [next(self._lines) for _ in range(count)]

    def _step(self) -> None:
        self._steps.pop(0)() if self._steps else None


def test_follow_begins_with_the_last_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text("one\ntwo\nthree\n")

    def write_more() -> None:
        with file.open("a") as out:
            out.write("four\n")

    lines = follow(file, lines=2, wait=write_more)

    assert [next(lines) for _ in range(3)] == ["two", "three", "four"]


def test_follow_begins_with_all_lines_when_there_are_fewer(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text("one\n")

    assert next(follow(file, lines=2)) == "one"


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (
            "2026-11-27 03:20:43,927 INFO local_ai.gateway: POST /v1/models: [x] answered [req_1]",
            ("INFO", "local_ai.gateway", "POST /v1/models: [x] answered", "req_1"),
        ),
        (
            "2026-11-27 03:20:43,927 WARNING local_ai.engine: no id here",
            ("WARNING", "local_ai.engine", "no id here", None),
        ),
        (
            "2026-11-27 03:20:43,927 CRIT Supervisor is running as root",
            ("CRITICAL", None, "Supervisor is running as root", None),
        ),
    ],
    ids=["request", "program", "supervisord"],
)
def test_line_of_a_log_is_taken_apart(line: str, parsed: tuple[str | None, ...]):
    found = parse_line(line)

    assert (found.level, found.logger, found.message, found.request_id) == parsed
    assert found.time and found.time.startswith("2026-11-27T03:20:43.927")


def test_line_of_another_form_is_a_message():
    line = '  File "a.py", line 1, in <module>'

    assert parse_line(line) == LogLine(None, None, None, line, None)

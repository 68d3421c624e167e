"""What supervisord's log tells of programs that ended, and what it means."""

import signal
from pathlib import Path

import pytest

from local_ai.supervision.crashes import Crashes, explain_crash, is_from_outside, read_crashes

STARTED = "2026-01-01 11:00:00,000 INFO supervisord started with pid 5"


def exited(clock: str, reason: str = "exit status 1; not expected") -> str:
    return f"2026-01-01 {clock},250 WARN exited: engine ({reason})"


def stopped(clock: str) -> str:
    return f"2026-01-01 {clock},250 INFO stopped: engine (exit status 0)"


def read(tmp_path: Path, *lines: str) -> Crashes:
    log = tmp_path / "supervisord.log"
    log.write_text("\n".join(lines) + "\n")
    return read_crashes(log).get("engine", Crashes())


def test_exits_count_since_supervisord_started_and_quote_the_last(tmp_path: Path):
    exits = read(
        tmp_path,
        exited("10:00:00"),
        STARTED,
        exited("11:00:01"),
        exited("12:00:02", "terminated by SIGKILL; not expected"),
    )

    assert (exits.count, exits.reason, exits.is_flapping) == (2, "terminated by SIGKILL", False)


def test_engine_that_supervisord_gave_up_may_be_started_again(tmp_path: Path):
    """Else what a user has fixed would be stopped again for how it ended before."""
    gave_up = (
        "2026-01-01 11:00:05,000 INFO gave up: engine entered FATAL state, too many start retries too quickly"
    )
    crashes = [exited(f"11:00:0{second}") for second in range(4)]

    exits = read(tmp_path, STARTED, *crashes, gave_up)

    assert (exits.count, exits.is_flapping, exits.was_given_up) == (4, False, False)


def test_how_many_crashes_are_too_many_is_a_setting(tmp_path: Path):
    crashes = [exited(f"11:0{minute}:00") for minute in range(4)]
    read(tmp_path, STARTED, *crashes)

    log = tmp_path / "supervisord.log"

    assert read_crashes(log, max_crashes=4)["engine"].is_flapping
    assert not read_crashes(log, max_crashes=5)["engine"].is_flapping


def test_spawn_errors_count_too(tmp_path: Path):
    line = "2026-01-01 11:00:01,000 INFO spawnerr: engine (can't find command 'x')"

    assert read(tmp_path, STARTED, line).reason == "can't find command 'x'"


def test_three_ends_within_five_minutes_are_flapping(tmp_path: Path):
    dense = [exited("11:00:00"), exited("11:02:00"), exited("11:04:59")]
    sparse = [exited("11:00:00"), exited("11:02:00"), exited("11:05:01")]

    assert read(tmp_path, STARTED, *dense).is_flapping
    assert not read(tmp_path, STARTED, *sparse).is_flapping


def test_stop_begins_the_count_anew_and_is_remembered_as_giving_up(tmp_path: Path):
    dense = [exited("11:00:00"), exited("11:01:00"), exited("11:02:00")]

    given_up = read(tmp_path, STARTED, *dense, stopped("11:02:01"))
    again = read(tmp_path, STARTED, *dense, stopped("11:02:01"), exited("11:03:00"))

    assert (given_up.is_flapping, given_up.was_given_up, given_up.count) == (False, True, 3)
    assert (again.is_flapping, again.was_given_up, again.count) == (False, False, 4)


def test_stop_by_hand_of_a_steady_program_is_no_giving_up(tmp_path: Path):
    assert not read(tmp_path, STARTED, exited("11:00:00"), stopped("11:01:00")).was_given_up


def test_missing_log_holds_no_exits(tmp_path: Path):
    assert read_crashes(tmp_path / "none.log") == {}


@pytest.mark.parametrize("name", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_that_no_fault_raises_came_from_outside(name: signal.Signals):
    for reason in (f"terminated by {name.name}", f"exit status {128 + name}"):
        assert is_from_outside(reason)
        assert (
            explain_crash(reason, ["MemoryError"])
            == f"a person or a program outside asked it to end ({reason})"
        )


@pytest.mark.parametrize("name", [signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGXCPU])
def test_a_signal_that_a_fault_raises_is_a_crash(name: signal.Signals):
    assert not is_from_outside(f"terminated by {name.name}")
    assert not is_from_outside(f"exit status {128 + name}")
    assert not any(map(is_from_outside, ("exit status 1", "exit status 255", "spawn error", "")))


@pytest.mark.parametrize(
    ("reason", "line", "text"),
    [
        (
            "terminated by SIGABRT",
            "libc++abi: [METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPU…)",
            "the GPU ran out of memory: choose a smaller model (terminated by SIGABRT)",
        ),
        (
            "terminated by SIGKILL",
            "2026-01-01 INFO serving",
            "it was killed: by a person, a program, or the system when memory runs out "
            "(terminated by SIGKILL)",
        ),
        (
            "terminated by SIGKILL",
            "MemoryError: of a request, long before",
            "it was killed: by a person, a program, or the system when memory runs out "
            "(terminated by SIGKILL)",
        ),
        (
            "exit status 0",
            "2026-01-01 INFO serving",
            "a person or a program outside asked it to end (exit status 0)",
        ),
        (
            "exit status 1",
            "ModuleNotFoundError: No module named 'mlx_lm'",
            "the package mlx_lm is missing: uv sync brings it back (exit status 1)",
        ),
        (
            "exit status 1",
            "FileNotFoundError: [Errno 2] No such file or directory: '/m/config.json'",
            "a file is missing: /m/config.json (exit status 1)",
        ),
        ("exit status 1", "OSError: [Errno 28] No space left on device", "the disk is full (exit status 1)"),
        (
            "exit status 1",
            "RuntimeError: [malloc] Unable to allocate 9 bytes.",
            "it ran out of memory: choose a smaller model (exit status 1)",
        ),
        ("exit status 9", "nothing to see", "exit status 9"),
    ],
    ids=[
        "metal",
        "killed",
        "killed after an error",
        "asked to end",
        "package",
        "file",
        "disk",
        "memory",
        "unknown",
    ],
)
def test_exit_is_translated(reason: str, line: str, text: str):
    assert explain_crash(reason, ["earlier", line, "later"]) == text

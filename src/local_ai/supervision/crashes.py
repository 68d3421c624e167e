"""Crashes as supervisord's log tells them: how often programs ended by themselves, how, and since when.

    engine.max_crashes × exited within five minutes ─▶ flapping: a restart does not help
    stopped:, gave up: (FATAL) ──────────────────────▶ the count starts again

Only the log has it: `getAllProcessInfo` gives exit status 0 for a program that ends within `startsecs`, and
counts nothing (supervisor 4.3).
"""

import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from local_ai.regular_file import open_regular

FLAPPING_COUNT = 3
FLAPPING_WITHIN_S = 300.0

_LOG_TAIL_BYTES = 256 * 1024
_LINE = re.compile(
    r"^(?P<time>[\d-]{10} [\d:]{8}),(?P<ms>\d+) \w+ (?P<word>exited|spawnerr|stopped|gave up): "
    r"(?P<name>[\w-]+)(?: \((?P<reason>.+)\))?"
)


@dataclass(frozen=True)
class Crashes:
    """One program's unexpected ends since supervisord started."""

    count: int = 0
    reason: str = ""  # the last one, in supervisord's words: "exit status 1", "terminated by SIGKILL"
    run: tuple[float, ...] = ()  # seconds since 1970, since it was last stopped on purpose
    run_before_stop: tuple[float, ...] = ()  # the same for the run that the last stop ended
    max_crashes: int = FLAPPING_COUNT

    @property
    def is_flapping(self) -> bool:
        """True if it has ended too often in too short a time."""
        return _is_dense(self.run, self.max_crashes)

    @property
    def was_given_up(self) -> bool:
        """True if we stopped it for crashing too often, not a person."""
        return _is_dense(self.run_before_stop, self.max_crashes) and not self.run


def read_crashes(log: Path, *, max_crashes: int = FLAPPING_COUNT) -> dict[str, Crashes]:
    """Read the end of supervisord's log; programs that never ended by themselves are not in it."""
    found: dict[str, Crashes] = {}
    for line in _tail(log).splitlines():
        if " supervisord started with pid " in line:
            found = {}
        elif match := _LINE.match(line):
            name = match["name"]
            found[name] = _after(match, found.get(name, Crashes(max_crashes=max_crashes)))
    return {name: exits for name, exits in found.items() if exits.count}


def _after(match: re.Match[str], before: Crashes) -> Crashes:
    if match["word"] == "stopped":
        return replace(before, run=(), run_before_stop=before.run or before.run_before_stop)
    if match["word"] == "gave up":
        return replace(before, run=(), run_before_stop=())
    moment = time.mktime(time.strptime(match["time"], "%Y-%m-%d %H:%M:%S")) + int(match["ms"]) / 1000
    reason = re.sub(r"; (not )?expected$", "", match["reason"] or "")
    return replace(
        before, count=before.count + 1, reason=reason, run=(*before.run, moment), run_before_stop=()
    )


def _is_dense(run: tuple[float, ...], most: int) -> bool:
    return len(run) >= most and run[-1] - run[-most] <= FLAPPING_WITHIN_S


def _tail(file: Path) -> str:
    try:
        with open_regular(file) as stream:
            stream.seek(max(0, file.stat().st_size - _LOG_TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


# What the log says → what it means; the first that matches the latest line wins.
# Source of Metal's words: MTLCommandBufferError as MLX prints it ("[METAL] Command buffer execution failed").
_SIGNS = (
    (r"Insufficient Memory|ErrorOutOfMemory", "the GPU ran out of memory: choose a smaller model"),
    (r"MemoryError|[Uu]nable to allocate|\[malloc\]", "it ran out of memory: choose a smaller model"),
    (r"ModuleNotFoundError: No module named '([^']+)'", "the package {0} is missing: uv sync brings it back"),
    (r"ImportError: (.+)", "something could not be imported: {0}"),
    (r"No such file or directory: '([^']+)'", "a file is missing: {0}"),
    (r"No space left on device", "the disk is full"),
)
# What engine/cluster/launch.py says of the rank for whose sake it ended all others.
_LOST_RANK = re.compile(r"(rank \d+ \(.+\) (?:ended|has been silent) .+): all ranks end$")
# What engine/cluster/reach.py says before it starts any rank.
_AWAITED = re.compile(r"(rank \d+ \(.+\)) cannot be reached, and is waited for: (.+)$")
_EXITS = {
    "terminated by SIGKILL": "it was killed: by a person, a program, or the system when memory runs out",
    "terminated by SIGSEGV": "it crashed in native code",
    "terminated by SIGBUS": "it crashed in native code, or a model file changed under it",
    "terminated by SIGABRT": "it crashed in native code",
    "terminated by SIGILL": "it uses instructions that this processor does not have",
}


# Signals that a program's own fault raises; any other comes from a person or another program.
_OWN_SIGNALS = {
    "SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS", "SIGXCPU", "SIGXFSZ",
}  # fmt: skip
_OUTSIDE = "a person or a program outside asked it to end"


def is_from_outside(reason: str) -> bool:
    """Tell whether a person or another program ended it: its own log cannot say why.

    Args:
        reason: supervisord's words: "exit status 1", "terminated by SIGKILL".
    """
    if match := re.fullmatch(r"terminated by (SIG\w+)", reason):
        return match[1] not in _OWN_SIGNALS
    match = re.fullmatch(r"exit status (\d+)", reason)
    status = int(match[1]) if match else -1
    try:
        # A shell's status for a signal is 128 and its number.
        return status == 0 or signal.Signals(status - 128).name not in _OWN_SIGNALS
    except ValueError:
        return False


def explain_crash(reason: str, log_lines: Sequence[str]) -> str:
    """Translate an exit.

    Args:
        reason: supervisord's words: "exit status 1", "terminated by SIGKILL".
        log_lines: The last lines of the program's log, oldest first.

    Returns:
        "the disk is full (exit status 1)"; just the reason where nothing more is known.
    """
    for line in reversed(log_lines):
        if match := _LOST_RANK.search(line):
            return f"{match[1]} ({reason})"
    from_outside = is_from_outside(reason)
    for line in reversed(() if from_outside else log_lines):
        for pattern, meaning in _SIGNS:
            if match := re.search(pattern, line):
                return f"{meaning.format(*match.groups())} ({reason})"
    meaning = _EXITS.get(reason, _OUTSIDE if from_outside else "")
    return f"{meaning} ({reason})" if meaning else reason


def awaited_host(log_lines: Sequence[str]) -> str:
    """Tell which host of a cluster is waited for, and why; "" where none is.

    Args:
        log_lines: The last lines of the program's log.
    """
    match = _AWAITED.search(log_lines[-1]) if log_lines else None
    return f"waiting for {match[1]}, which cannot be reached: {match[2]}" if match else ""

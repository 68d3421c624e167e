"""The only module that prints: results to stdout, errors and progress to stderr. Colour only on a terminal.

Results are plain enough to need no library; rich is imported for the live line alone, so that `status`
answers sooner.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from local_ai.entry import as_called, entry_of
from local_ai.errors import ConfigError, LocalAIError
from local_ai.printable import printable
from local_ai.status.figures import in_words, model_in_words, size_in_words
from local_ai.status.health import EngineHealth, ModelInMemory
from local_ai.status.report import Report, base_url
from local_ai.status.verdict import Health, Readiness

if TYPE_CHECKING:
    from rich.status import Status

    from local_ai.doctor.check import Check

# Select Graphic Rendition codes of ECMA-48.
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}

# State is always word + shape + colour.
_READINESS = {
    Readiness.READY: ("●", "green"),
    Readiness.BUSY: ("◐", "green"),
    Readiness.STARTING: ("○", "yellow"),
    Readiness.UNHEALTHY: ("✕", "red"),
    Readiness.UNKNOWN: ("?", "yellow"),
    Readiness.STOPPED: ("–", "dim"),
}
_HEALTH = {
    Health.HEALTHY: "bold green",
    Health.BUSY: "bold green",
    Health.STARTING: "bold yellow",
    Health.UNHEALTHY: "bold red",
    Health.UNKNOWN: "bold yellow",
    Health.STOPPED: "bold",
}
_OUTCOMES = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✕", "red")}
_LINE_EVERY_S = 0.1
_MOST_NAMES = 5  # in one line
_HEADER = ("PROGRAM", "STATE", "READINESS", "UPTIME", "RESTARTS", "MEMORY", "PID")


def called_as() -> str:
    """Name the entry that this command line came by."""
    # uv tells what it runs where uv itself is, also of programs that have nothing to do with this project.
    # Source: https://docs.astral.sh/uv/reference/environment/#uv
    is_project = (Path(sys.prefix).parent / "uv.lock").exists()
    return entry_of(sys.argv[0], by_uv="UV" in os.environ and is_project)


def print_line(text: str = "", *, style: str = "") -> None:
    """Print one line of a result."""
    _write(sys.stdout, _styled(sys.stdout, _shown(text), style))


def print_text(text: str) -> None:
    """Print several lines of a result."""
    for line in text.splitlines():
        print_line(line)


def print_raw(line: str) -> None:
    """Print one line as it is, at once: a log line, for a pipe or a person."""
    _write(sys.stdout, line)
    flush()


def print_json(value: object) -> None:
    """Print a result for programs."""
    _write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_error(error: LocalAIError) -> None:
    """Print what, why, fix and see."""
    for line in str(error).splitlines():
        label, mark, text = line.partition(": ")
        if label in {"error", "  why", "  fix", "  see"}:
            style = "bold red" if label == "error" else "bold"
            _write(sys.stderr, _styled(sys.stderr, label + mark, style) + _shown(text))
        else:
            _write(sys.stderr, _shown(line))


def print_note(text: str) -> None:
    """Print what a waiting user should know; results are on stdout alone."""
    _write(sys.stderr, _shown(text))
    sys.stderr.flush()


def print_warning(text: str) -> None:
    """Print what should be known although nothing stopped."""
    _write(sys.stderr, _styled(sys.stderr, "warning: ", "bold yellow") + _shown(text))


@contextmanager
def progress(*, lazily: bool = False) -> Iterator[Callable[[str], None]]:
    """Show one line that changes in place; where there is no terminal, a line whenever the step changes.

    Args:
        lazily: Show nothing, and import nothing, until there is something to say.
    """
    if not _is_terminal(sys.stderr):
        yield _step_printer()
        return
    with ExitStack() as stack:
        status: Status | None = None

        def show(sentence: str) -> None:
            from rich.console import Console
            from rich.text import Text

            nonlocal status
            if status is None:
                live = Console(stderr=True, highlight=False).status(Text(sentence))
                status = stack.enter_context(live)
            status.update(Text(sentence))

        if not lazily:
            show("Starting")
        yield show


def confirm(question: str, what: str, *, also: str = "", fix: str = "if you mean it", command: str) -> bool:
    """Ask a person yes or no, no being the default.

    Raises:
        ConfigError: There is no terminal, so `what` did not happen; `command` does not ask.
    """
    if not sys.stdin.isatty():
        why = f"this is not a terminal, so local-ai cannot ask{also}"
        raise ConfigError(what, why=why, fix=fix, command=command)
    sys.stderr.write(f"{_shown(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@contextmanager
def changing_line() -> Iterator[Callable[[str, float], None]]:
    """Show a sentence that changes in place; where there is no terminal, a line for each tenth of the way.

    The callable takes the sentence, and how far along it is, from 0 to 1.
    """
    if not _is_terminal(sys.stderr):
        yield _tenth_printer()
        return
    line = _ChangingLine()
    try:
        yield line
    finally:
        line.end()


def print_report(report: Report, *, logs_dir: Path) -> None:
    """Print the verdict, the programs and the addresses."""
    verdict = report.verdict
    print_line(verdict.sentence, style=_HEALTH[verdict.health])
    for label, text in (("why", verdict.why), ("fix", verdict.whole_fix), ("see", verdict.see)):
        if text:
            print_line(f"  {label}: {text}")
    if not report.is_running:
        return
    for marked in report.queue.marked_models if report.queue else ():
        print_line(f"  note: {marked.model}: {marked.reason}")
    print_line()
    _print_programs(report)
    print_line()
    print_addresses(report, logs_dir=logs_dir, held=report.engine.models if report.engine else ())


def print_checks(checks: Sequence[Check], *, has_fixed: bool) -> None:
    """Print a line for each check, with reason and fix for what is wrong, and how many are."""
    for check in checks:
        sign, style = _OUTCOMES[check.outcome.value]
        word = _styled(sys.stdout, f"{sign} {check.outcome.value:<7}", style)
        _write(sys.stdout, f"{word}  {check.name:<17}  {_shown(check.finding)}")
        for label, text in (("why", check.why), ("fix", check.whole_fix)):
            for line in text.splitlines():
                print_line(f"             {label}: {line}")
                label = "    "
    counts = Counter(check.outcome.value for check in checks)
    print_line()
    print_line(", ".join(f"{counts[word]} {word}" for word in _OUTCOMES if counts[word]))
    if not has_fixed and any(check.repair for check in checks):
        print_line("To do the safe fixes: local-ai doctor --fix")


def print_addresses(report: Report, *, logs_dir: Path, held: Sequence[ModelInMemory] = ()) -> None:
    """Print where the server answers, and with which models.

    Args:
        held: The models in memory, where they are to be told.
    """
    # Its HTTP client would be a fifth of what `--help` and a completion take.
    from local_ai.status.probe import address_for_others

    others = [model for model in report.models if model != report.default_model]
    reached = address_for_others(report.host)
    rows = (
        ("page", f"{report.url}/"),
        ("other machines", f"{base_url(reached, report.port)}/" if reached else ""),
        ("OpenAI API", report.openai_url),
        ("Anthropic API", report.anthropic_url),
        ("default model", report.default_model or "none"),
        ("other models", _shortened(others)),
        ("peers", _peers(report)),
        ("in memory", ", ".join(model_in_words(each, time.time()) for each in held)),
        ("computes on", _device(report.engine)),
        ("logs", str(logs_dir)),
    )
    for label, text in rows:
        if text:
            _write(sys.stdout, f"  {_styled(sys.stdout, f'{label:<15}', 'bold')}{printable(text)}")


def _device(engine: EngineHealth | None) -> str:
    """Write what computes, and on a CPU with which BLAS."""
    if engine is None or engine.device is None:
        return ""
    if engine.device != "cpu":
        return {"metal": "the GPU (Metal)", "cuda": "an NVIDIA card (CUDA)"}.get(engine.device, engine.device)
    return f"the CPU, with {engine.blas}" if engine.blas else "the CPU"


def _peers(report: Report) -> str:
    """Write each peer with its state, and the number of its models or why it is away."""
    peers = report.queue.peers if report.queue else ()
    details = (f": {peer.why}" if peer.why else f", {peer.model_count} models" for peer in peers)
    return "; ".join(f"{peer.name} {peer.state}{detail}" for peer, detail in zip(peers, details, strict=True))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table: no frame, columns as wide as their content, nothing folded."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print_line(_aligned(header, widths), style="bold")
    for row in rows:
        _write(sys.stdout, _aligned(row, widths))


def describe(value: Any) -> str:
    """Write a setting's value as TOML would, "" for none."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _step_printer() -> Callable[[str], None]:
    """Print a sentence when it tells of another step, not of another second of the same."""
    last = ""

    def say(sentence: str) -> None:
        nonlocal last
        step = re.sub(r",? \d+(\.\d+)? ?(s|%)$", "", sentence)
        if step != last:
            last = step
            _write(sys.stderr, step)

    return say


def _tenth_printer() -> Callable[[str, float], None]:
    """Print a sentence when another tenth of the way is done."""
    tenths = 0

    def say(sentence: str, share: float) -> None:
        nonlocal tenths
        if int(share * 10) > tenths:
            tenths = int(share * 10)
            print_note(sentence)

    return say


class _ChangingLine:
    """Writes over its last sentence; not more often than anybody can read."""

    def __init__(self) -> None:
        self._written_at = 0.0
        self._pending = ""

    def __call__(self, sentence: str, share: float) -> None:
        self._pending = sentence
        if time.monotonic() - self._written_at >= _LINE_EVERY_S:
            self._write()

    def end(self) -> None:
        if self._pending:
            self._write()
            _write(sys.stderr, "")

    def _write(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        # Carriage return, then "erase in line" of ECMA-48.
        sys.stderr.write(f"\r\033[K{self._pending[:width]}")
        sys.stderr.flush()
        self._written_at = time.monotonic()


def _print_programs(report: Report) -> None:
    rows = [
        (
            row.name,
            row.state.value,
            f"{_READINESS[row.readiness][0]} {row.readiness.value}",
            in_words(row.uptime_s),
            str(row.restarts),
            size_in_words(row.memory_bytes),
            str(row.pid or "–"),
        )
        for row in report.programs
    ]
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=True)]
    print_line(f"  {_aligned(_HEADER, widths)}", style="bold")
    for cells, program in zip(rows, report.programs, strict=True):
        coloured = _styled(sys.stdout, cells[2], _READINESS[program.readiness][1])
        line = _aligned(cells, widths).replace(cells[2], coloured, 1)
        _write(sys.stdout, f"  {line}")
    shown = f"{report.verdict.sentence} {report.verdict.why}"
    for program in report.programs:
        if program.detail and program.detail not in shown:
            print_line(f"  {program.name}: {program.detail}")


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _shortened(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _shown(text: str) -> str:
    """Write commands as people here call them; escapes stand for what a terminal would act on."""
    return printable(as_called(text))


def _styled(stream: TextIO, text: str, style: str) -> str:
    if not style or not text or not _is_terminal(stream):
        return text
    codes = ";".join(_STYLES[name] for name in style.split())
    return f"\033[{codes}m{text}\033[0m"


def _is_terminal(stream: TextIO) -> bool:
    # Source: https://no-color.org, and what terminals without such codes call themselves.
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


class OutputError(LocalAIError):
    """The output cannot be written: the disk that it goes to is full."""

    def __init__(self, exc: OSError) -> None:
        """Describe it."""
        super().__init__(
            "the output could not be written",
            why=exc.strerror or str(exc),
            fix="free some space where it goes, or send it elsewhere",
        )


def flush() -> None:
    """Write out what waits; raises OutputError, and BrokenPipeError where the reader has gone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(exc) from exc


def _write(stream: TextIO, line: str) -> None:
    try:
        stream.write(line + "\n")
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(exc) from exc

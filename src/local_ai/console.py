"""The only printer: results to stdout, errors and progress to stderr. Colour only on a terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from local_ai.errors import LocalAIError
from local_ai.program import Readiness
from local_ai.status import Health, Report

# State is always word + shape + colour.
_READINESS = {
    Readiness.READY: ("●", "green"),
    Readiness.BUSY: ("◐", "green"),
    Readiness.STARTING: ("○", "yellow"),
    Readiness.UNHEALTHY: ("✕", "red"),
    Readiness.UNKNOWN: ("?", "yellow"),
    Readiness.STOPPED: ("–", "dim"),
}
_HEALTH_COLOUR = {
    Health.HEALTHY: "bold green",
    Health.BUSY: "bold green",
    Health.STARTING: "bold yellow",
    Health.UNHEALTHY: "bold red",
    Health.UNKNOWN: "bold yellow",
    Health.STOPPED: "bold",
}


def print_line(text: str = "") -> None:
    """Print one line of a result."""
    _out().print(Text(_as_typed(text)))


def print_raw(line: str) -> None:
    """Print one line as it is, at once: a log line, for a pipe or a person."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_json(value: object) -> None:
    """Print a result for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_error(error: LocalAIError) -> None:
    """Print what, why, fix and see."""
    for line in _as_typed(str(error)).splitlines():
        label, mark, text = line.partition(": ")
        if label in {"error", "  why", "  fix", "  see"}:
            style = "bold red" if label == "error" else "bold"
            _err().print(Text.assemble((label + mark, style), text))
        else:
            _err().print(Text(line))


def print_warning(text: str) -> None:
    """Print what should be known although nothing stopped."""
    _err().print(Text.assemble(("warning: ", "bold yellow"), _as_typed(text)))


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show one line that changes in place; where there is no terminal, a line whenever the step changes."""
    console = _err()
    if not console.is_terminal:
        last = ""

        def say_once(sentence: str) -> None:
            nonlocal last
            step = re.sub(r",? \d+(\.\d+)? ?(s|%)$", "", sentence)
            if step != last:
                last = step
                console.print(Text(step))

        yield say_once
        return
    with console.status(Text("Starting")) as status:
        yield lambda sentence: status.update(Text(sentence))


def print_report(report: Report, *, logs_dir: Path) -> None:
    """Print the verdict, the programs and the addresses."""
    verdict = report.verdict
    out = _out()
    out.print(Text(verdict.sentence, style=_HEALTH_COLOUR[verdict.health]))
    for label in ("why", "fix", "see"):
        if text := getattr(verdict, label):
            out.print(Text(f"  {label}: {_as_typed(text)}"))
    if not report.is_running:
        return
    out.print()
    out.print(_program_table(report))
    for row in report.programs:
        if row.detail and row.detail not in f"{verdict.sentence} {verdict.why}":
            out.print(Text(f"  {row.name}: {row.detail}"))
    out.print()
    print_addresses(report, logs_dir=logs_dir)


def print_addresses(report: Report, *, logs_dir: Path) -> None:
    """Print where the server answers, and with which models."""
    others = [model for model in report.models if model != report.default_model]
    rows = (
        ("page", f"{report.url}/"),
        ("OpenAI API", report.openai_url),
        ("Anthropic API", report.anthropic_url),
        ("default model", report.default_model or "none"),
        ("other models", _shortened(others)),
        ("logs", str(logs_dir)),
    )
    for label, text in rows:
        if text:
            _out().print(Text.assemble("  ", (f"{label:<15}", "bold"), text))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table: no frame, columns as wide as their content."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _out().print(table)


def format_seconds(seconds: float | None) -> str:
    """Write a duration as people say it: "42 s", "3 min", "2 h 5 min", "4 d 3 h"."""
    if seconds is None:
        return ""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"


def format_bytes(size: int | None) -> str:
    """Write a size in powers of 1000: "812 MB", "1.2 GB"."""
    if size is None:
        return ""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _program_table(report: Report) -> Table:
    table = Table(box=None, pad_edge=True, padding=(0, 1), header_style="bold")
    for name in ("PROGRAM", "STATE", "READINESS", "UPTIME", "RESTARTS", "MEMORY", "PID"):
        is_number = name in {"RESTARTS", "MEMORY", "PID"}
        table.add_column(name, justify="right" if is_number else "left", no_wrap=True)
    for row in report.programs:
        shape, colour = _READINESS[row.readiness]
        table.add_row(
            row.name,
            row.state.value,
            Text(f"{shape} {row.readiness.value}", style=colour),
            format_seconds(row.uptime_s) or "–",
            str(row.restarts),
            format_bytes(row.memory_bytes) or "–",
            str(row.pid or "–"),
        )
    return table


def _shortened(names: Sequence[str], *, most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _as_typed(text: str) -> str:
    """Write the commands in a text as this user called us: `local-ai server start` or `inv server.start`."""
    if Path(sys.argv[0]).name != "local-ai":
        return text
    return re.sub(r"\binv (server|config)\.(\w+)", r"local-ai \1 \2", text)


def _out() -> Console:
    # A pipe has no width: nothing is folded there.
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)


def _err() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def describe(value: Any) -> str:
    """Write a setting's value as TOML would, "" for none."""
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False)

"""`server.start`, `stop`, `restart`, `status`, `logs`.

Modules that cost time to import are imported by the command that needs them.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn, TypedDict, Unpack

from local_ai.cli import console
from local_ai.cli.run import flag_of, load_settings, parse_count, parse_seconds
from local_ai.errors import EXIT_INTERRUPTED, LocalAIError
from local_ai.serving.signals import ignore_signals
from local_ai.settings.paths import find_paths
from local_ai.settings.state import Given, read_given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_ai.lifecycle.results import StartResult, StopResult
    from local_ai.settings.paths import Paths
    from local_ai.status.report import Report


class StartOptions(TypedDict):
    """The options that start and restart share, as far as they are given."""

    host: str | None
    port: str | None
    model: str | None
    log_level: str | None
    config: str | None


def start(*, foreground: bool, timeout: str, **options: Unpack[StartOptions]) -> None:
    """Start the server, wait until it answers, print its addresses."""
    from local_ai.cli.commands.service import start_installed
    from local_ai.lifecycle.manager import ServerManager

    by_service = not foreground and start_installed(options)
    termination = _Termination()
    try:
        with console.progress(lazily=True) as say:
            if foreground:
                termination.expect()
            loaded = load_settings(options["config"], _overrides(options))
            timeout_s = parse_seconds("--timeout", timeout)
            manager = ServerManager(
                loaded.settings,
                on_progress=say,
                on_ready=_print_started,
                by_hand=Given(loaded.given, _absolute(options["config"]), loaded.file),
            )
            result = manager.start(foreground=foreground, startup_timeout=timeout_s)
    except KeyboardInterrupt as exc:
        if not termination.was_asked:
            raise _interrupted(foreground) from exc
        result = None
    if termination.was_asked:
        console.print_line("Stopped.")
        return
    assert result is not None
    if result.error:
        raise result.error
    if foreground:
        console.print_line("Stopped.")
    else:
        _print_started(result, options=options, by_service=by_service)


def stop(*, force: bool, timeout: str) -> None:
    """Stop the server; says whether it had to be killed."""
    from local_ai.cli.commands.service import installed_service
    from local_ai.lifecycle.manager import ServerManager

    timeout_s = parse_seconds("--timeout", timeout)
    with console.progress(lazily=True) as say:
        result = ServerManager(on_progress=say).stop(force=force, timeout=timeout_s)
    if result.error:
        raise result.error
    if not result.was_running:
        console.print_line("The server was not running.")
    elif result.forced:
        reason = "as asked" if force else f"it had not ended {timeout_s:g} s after SIGTERM"
        console.print_line(f"Stopped with SIGKILL ({reason}). {_fate_of_answers(result)}".rstrip())
    else:
        console.print_line(f"Stopped. {_fate_of_answers(result)}".rstrip())
    if installed_service():
        console.print_note("Its service will start it again. To prevent that: local-ai service uninstall")


def restart(*, timeout: str, **options: Unpack[StartOptions]) -> None:
    """Stop and start again with fresh settings, and with what the start was given by hand."""
    from local_ai.cli.commands.service import restart_installed
    from local_ai.lifecycle.manager import ServerManager
    from local_ai.settings.load import load_again

    if restart_installed(options):
        start(foreground=False, timeout=timeout, **options)
        return

    with console.progress() as say:
        last = read_given(find_paths().state_file)
        config = options["config"] or last.config
        loaded, kept = load_again(last.values, config_path=config, overrides=_overrides(options))
        for warning in loaded.warnings:
            console.print_warning(warning)
        timeout_s = parse_seconds("--timeout", timeout)
        manager = ServerManager(
            loaded.settings,
            on_progress=say,
            by_hand=Given(loaded.given, _absolute(config), loaded.file),
        )
        try:
            result = manager.restart(startup_timeout=timeout_s)
        except KeyboardInterrupt as exc:
            raise _interrupted(foreground=False) from exc
    if fate := _fate_of_answers(result):
        console.print_line(fate)
    if result.error:
        raise result.error
    _print_started(result)
    if kept:
        console.print_note(
            f"Kept from the last start: {', '.join(kept)}. To drop that: local-ai server stop, then "
            "local-ai server start."
        )


def status(*, as_json: bool, deep: bool) -> int:
    """Show how the server is; deep: after asking the engine for one token."""
    from local_ai.lifecycle.manager import ServerManager

    manager = ServerManager()
    report = manager.report()
    if deep:
        return _status_deep(report, manager.paths, as_json=as_json)
    if as_json:
        console.print_json(report.to_json())
    else:
        console.print_report(report, logs_dir=manager.paths.logs_dir)
    return report.exit_code


def _status_deep(report: Report, paths: Paths, *, as_json: bool) -> int:
    from local_ai.status.deep_probe import deep_probe, with_finding
    from local_ai.status.report import to_plain

    with console.progress() as say:
        say("Asking the engine for one token")
        probe = deep_probe(report, paths.engine_socket)
    report = with_finding(report, probe)
    if as_json:
        console.print_json({**report.to_json(), "deep": to_plain(probe)})
    else:
        console.print_report(report, logs_dir=paths.logs_dir)
        console.print_line()
        console.print_line(f"Deep probe: {probe.sentence}")
    return report.exit_code


def logs(*, program: str, lines: str, follow: bool, as_json: bool) -> None:
    """Show a program's log, and follow it across rotation; as JSON, one object a line."""
    from local_ai.supervision import log_files as log_files

    count = parse_count("--lines", lines)
    file = find_paths().log(program)
    if not os.path.exists(file) and not follow:
        raise LocalAIError(
            "there is no log yet", why=f"{file} does not exist", command="local-ai server start", exit_code=3
        )
    shown = log_files.follow(file, lines=count) if follow else log_files.tail(file, lines=count)
    try:
        for line in shown:
            console.print_raw(_json_line(program, line) if as_json else line)
    except PermissionError as exc:
        raise LocalAIError(
            "the log cannot be read",
            why=f"{exc.filename}: {exc.strerror}",
            fix="correct its permissions: it belongs to another user, perhaps after a start with sudo",
        ) from exc


def _json_line(program: str, line: str) -> str:
    import json

    from local_ai.supervision.log_files import parse_line

    return json.dumps({"program": program, **asdict(parse_line(line))}, ensure_ascii=False)


def _fate_of_answers(result: StartResult | StopResult) -> str:
    """Say what became of running answers; "" where there were none."""
    parts = [
        f"{count} running {'answer' if count == 1 else 'answers'} {fate}"
        for count, fate in ((result.finished, "finished first"), (result.cut, "cut off"))
        if count
    ]
    return f"{', '.join(parts).capitalize()}." if parts else ""


def _absolute(config: str | None) -> str | None:
    return os.path.abspath(config) if config else None  # noqa: PTH100


def _overrides(options: StartOptions) -> dict[str, str | None]:
    """Name the settings that the command line's options are."""
    return {
        "server.host": options["host"],
        "server.port": options["port"],
        "model.path": options["model"],
        "server.log_level": options["log_level"],
    }


def _print_started(
    result: StartResult, *, options: Mapping[str, object] | None = None, by_service: bool = False
) -> None:
    """Print that it runs, and its addresses.

    Args:
        options: Of the command line, which a restart would want again.
        by_service: The system has just started it.
    """
    if result.report is None:
        return
    if result.already_running and not by_service:
        console.print_line("The server is already running.")
    console.print_line(result.report.verdict.sentence)
    console.print_line()
    console.print_addresses(result.report, logs_dir=find_paths().logs_dir)
    console.flush()
    if result.report.engine and result.report.engine.warning:
        console.print_warning(result.report.engine.warning)
    if result.note and result.already_running:
        given = [
            word for name, value in (options or {}).items() if value for word in (flag_of(name), str(value))
        ]
        console.print_warning(f"{result.note} {shlex.join(given)}".rstrip())
    elif result.note:
        console.print_warning(result.note)


def _interrupted(foreground: bool) -> LocalAIError:
    return LocalAIError(
        "interrupted",
        why="Ctrl-C while the server was starting" + (", so it was stopped" if foreground else ""),
        fix=""
        if foreground
        else "it continues to start; see local-ai server status, or stop it with local-ai server stop",
        command="local-ai server start" if foreground else "",
        exit_code=EXIT_INTERRUPTED,
    )


class _Termination:
    """SIGTERM to a server in the foreground: a wanted end, whenever it comes.

    SIGHUP of a terminal that closes is one too; elsewhere it means nothing, like USR1 and USR2.
    """

    def __init__(self) -> None:
        self.was_asked = False

    def expect(self) -> None:
        """Take SIGTERM from now on."""
        by_terminal = sys.stdout.isatty() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        ignore_signals()
        signal.signal(signal.SIGTERM, self._end)
        if by_terminal:
            signal.signal(signal.SIGHUP, self._end)

    def _end(self, _signal: int, _frame: object) -> NoReturn:
        self.was_asked = True
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another one would end the orderly end
        raise KeyboardInterrupt

"""The commands, for `inv server.start` in a checkout and `local-ai server start` anywhere.

Modules that cost time to import are imported by the command that needs them: `--help` needs none.
"""

from __future__ import annotations

import functools
import signal
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from invoke import Collection, Context, Exit, ParseError, Program, task

from local_ai.errors import ConfigError, LocalAIError
from local_ai.program import ENGINE, GATEWAY, SUPERVISORD

if TYPE_CHECKING:
    from local_ai.manager import ServerManager, StartResult
    from local_ai.settings.load import Loaded

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
_LOG_NAMES = (ENGINE, GATEWAY, SUPERVISORD)


def command(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a task whose expected failures end in words and an exit code, also under plain `inv`."""

    def decorate(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except LocalAIError as error:
                from local_ai import console

                console.print_error(error)
                raise Exit(code=error.exit_code) from error
            except KeyboardInterrupt as exc:
                raise Exit("", code=EXIT_INTERRUPTED) from exc
            except BrokenPipeError:
                # Whoever read us (head, less) has seen enough. The descriptor is left to the exit.
                sys.stderr.close()
                raise Exit(code=0) from None

        return task(auto_shortflags=False, **options)(run)

    return decorate


@command(
    help={
        "host": "address to listen on (server.host)",
        "port": "port to listen on (server.port)",
        "model": "default model, by name or folder (model.path)",
        "config": "settings file instead of ./config.toml or the user's",
        "log-level": "DEBUG, INFO, WARNING or ERROR (server.log_level)",
        "foreground": "stay until the server ends; Ctrl-C stops it",
        "timeout": "longest wait for readiness, in seconds",
    }
)
def start(
    context: Context,
    host: str | None = None,
    port: str | None = None,
    model: str | None = None,
    config: str | None = None,
    log_level: str | None = None,
    foreground: bool = False,
    timeout: str = "120",
) -> None:
    """Start the server, wait until it answers, print its addresses."""
    from local_ai import console

    overrides = {"server.host": host, "server.port": port, "model.path": model, "server.log_level": log_level}
    loaded = _load(config, overrides)
    timeout_s = _seconds("--timeout", timeout)
    with console.progress() as say:
        if foreground:
            signal.signal(signal.SIGTERM, _interrupt)
        manager = _manager(loaded, on_progress=say, on_ready=_print_started)
        try:
            result = manager.start(foreground=foreground, startup_timeout=timeout_s)
        except KeyboardInterrupt as exc:
            raise _interrupted(foreground) from exc
    if result.error:
        raise result.error
    if foreground:
        console.print_line("Stopped.")
    else:
        _print_started(result)


@command(
    help={
        "force": "end it with SIGKILL at once, also when it does not answer",
        "timeout": "longest wait after SIGTERM before SIGKILL, in seconds",
    }
)
def stop(context: Context, force: bool = False, timeout: str = "10") -> None:
    """Stop the server; says whether it had to be killed."""
    from local_ai import console
    from local_ai.manager import ServerManager

    timeout_s = _seconds("--timeout", timeout)
    result = ServerManager().stop(force=force, timeout=timeout_s)
    if result.error:
        raise result.error
    if not result.was_running:
        console.print_line("The server was not running.")
    elif result.forced:
        reason = "as asked" if force else f"it had not ended {timeout_s:g} s after SIGTERM"
        console.print_line(f"Stopped with SIGKILL ({reason}).")
    else:
        console.print_line("Stopped.")


@command(help={"config": "settings file instead of ./config.toml or the user's"})
def restart(context: Context, config: str | None = None, timeout: str = "120") -> None:
    """Stop and start again with fresh settings; wrong settings leave the running server alone."""
    from local_ai import console

    loaded = _load(config, {})
    timeout_s = _seconds("--timeout", timeout)
    with console.progress() as say:
        try:
            result = _manager(loaded, on_progress=say).restart(startup_timeout=timeout_s)
        except KeyboardInterrupt as exc:
            raise _interrupted(foreground=False) from exc
    if result.error:
        raise result.error
    _print_started(result)


@command(default=True, help={"json": "print it for programs"})
def status(context: Context, json: bool = False) -> None:
    """Show how the server is: exit code 0 ready, 3 not running or not ready, 4 no answer."""
    from local_ai import console
    from local_ai.manager import ServerManager

    manager = ServerManager()
    report = manager.report()
    if json:
        console.print_json(report.to_json())
    else:
        console.print_report(report, logs_dir=manager.paths.logs_dir)
    if report.exit_code:
        raise Exit(code=report.exit_code)


@command(
    help={
        "program": f"whose log: {', '.join(_LOG_NAMES)}",
        "lines": "how many of the last lines",
        "follow": "go on with what is written from now on, until Ctrl-C",
    }
)
def logs(context: Context, program: str = ENGINE, lines: str = "50", follow: bool = False) -> None:
    """Show a program's log, and follow it across rotation."""
    from local_ai import console
    from local_ai import logs as log_files
    from local_ai.paths import find_paths

    if program not in _LOG_NAMES:
        raise ConfigError(
            "there is no such log",
            why=f"--program is {program!r}, must be one of {', '.join(_LOG_NAMES)}",
            fix=f"inv server.logs --program {ENGINE}",
        )
    count = _count("--lines", lines)
    file = find_paths().log(program)
    if not file.exists() and not follow:
        raise LocalAIError(
            "there is no log yet", why=f"{file} does not exist", fix="inv server.start", exit_code=3
        )
    for line in log_files.tail(file, lines=count):
        console.print_raw(line)
    if follow:
        for line in log_files.follow(file):
            console.print_raw(line)


@command(default=True, help={"json": "print it for programs", "config": "settings file to read"})
def show(context: Context, json: bool = False, config: str | None = None) -> None:
    """Show every setting, its value and where the value came from."""
    from local_ai import console

    loaded = _load(config, {})
    if json:
        console.print_json({key: {"value": value, "origin": origin} for key, value, origin in loaded.rows})
    else:
        rows = [(key, console.describe(value), origin) for key, value, origin in loaded.rows]
        console.print_table(("KEY", "VALUE", "FROM"), rows)


@command(help={"config": "settings file to read"})
def check(context: Context, config: str | None = None) -> None:
    """Check the settings without starting anything."""
    from local_ai import console
    from local_ai.paths import find_paths
    from local_ai.preflight import check_model

    loaded = _load(config, {})
    check_model(loaded.settings.model.path, find_paths())
    console.print_line(f"The settings are valid ({loaded.config_file or 'no settings file, all defaults'}).")


@command(help={"config": "where to write it, instead of the user's settings folder"})
def init(context: Context, config: str | None = None) -> None:
    """Write a commented settings file; never over an existing one."""
    from local_ai import console
    from local_ai.paths import find_paths
    from local_ai.settings.example import write_example

    file = Path(config).expanduser().absolute() if config else find_paths().config_file
    write_example(file)
    console.print_line(f"Written: {file}")


def namespace() -> Collection:
    """Return the collections of commands, each with its default."""
    server = Collection("server", start, stop, restart, status, logs)
    return Collection(server, Collection("config", show, check, init))


class LocalAIProgram(Program):
    """The console script: `local-ai server start` as well as `local-ai server.start`."""

    def normalize_argv(self, argv: list[str] | None) -> None:
        super().normalize_argv(argv)
        collections = set(namespace().collections)
        if len(self.argv) > 2 and self.argv[1] in collections and not self.argv[2].startswith("-"):
            self.argv[1:3] = [f"{self.argv[1]}.{self.argv[2]}"]

    def parse_collection(self) -> None:
        try:
            super().parse_collection()
        except ParseError as exc:
            _usage_error(exc)

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as exc:
            _usage_error(exc)


def main() -> None:
    """Run the console script."""
    program = LocalAIProgram(
        name="local-ai", binary="local-ai", namespace=namespace(), version=version("local-ai")
    )
    try:
        program.run()
    except Exception:
        traceback.print_exc()
        sys.exit("This is a bug in local-ai: please report it with the lines above.")


def _load(config: str | None, overrides: dict[str, str | None]) -> Loaded:
    from local_ai import console
    from local_ai.settings.load import load

    loaded = load(config_path=config, overrides=overrides)
    for warning in loaded.warnings:
        console.print_warning(warning)
    return loaded


def _manager(loaded: Loaded, **callbacks: Any) -> ServerManager:
    from local_ai.manager import ServerManager

    return ServerManager(loaded.settings, **callbacks)


def _print_started(result: StartResult) -> None:
    from local_ai import console
    from local_ai.paths import find_paths

    if result.report is None:
        return
    if result.already_running:
        console.print_line("The server is already running.")
    console.print_line(result.report.verdict.sentence)
    console.print_line()
    console.print_addresses(result.report, logs_dir=find_paths().logs_dir)
    if result.note:
        console.print_warning(result.note)


def _interrupted(foreground: bool) -> LocalAIError:
    return LocalAIError(
        "interrupted",
        why="Ctrl-C while the server was starting" + (", so it was stopped" if foreground else ""),
        fix="inv server.start"
        if foreground
        else "it goes on starting; look with inv server.status, or end it with inv server.stop",
        exit_code=EXIT_INTERRUPTED,
    )


def _interrupt(signal_number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _seconds(option: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e6:
        raise _bad_number(option, text, "a number of seconds")
    return seconds


def _count(option: str, text: str) -> int:
    if not text.isdecimal():
        raise _bad_number(option, text, "a whole number, 0 or more")
    return int(text)


def _bad_number(option: str, text: str, expected: str) -> ConfigError:
    return ConfigError(
        "the command line is not valid", why=f"{option} must be {expected}, got {text!r}", fix=f"{option} 20"
    )


def _usage_error(exc: ParseError) -> NoReturn:
    sys.stderr.write(
        f"error: {exc}\n  fix: local-ai --list shows the commands, local-ai --help COMMAND its options\n"
    )
    raise Exit(code=EXIT_USAGE)

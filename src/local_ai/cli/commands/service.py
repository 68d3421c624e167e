"""`service.install`, `uninstall` and `status`, and what `server.start` and `restart` leave to the service."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local_ai.cli import console
from local_ai.cli.run import flag_of, load_settings
from local_ai.errors import ConfigError, ServerError
from local_ai.lifecycle.manager import ServerManager
from local_ai.settings.paths import Paths, find_paths
from local_ai.system_service.definition import ServiceDefinition, define
from local_ai.system_service.manage import Service, ServiceReport, find_service, inspect
from local_ai.system_service.manage import install as install_service
from local_ai.system_service.manage import uninstall as uninstall_service

_APPEARS_S = 60.0  # from the system's start of the service to a supervisord that answers
_POLL_S = 0.1


def install(*, boot: bool, config: str | None) -> None:
    """Have the system start the server now and at each login, or at boot."""
    paths = find_paths()
    service = find_service(paths, at_boot=boot)
    definition = _definition(paths, config, os.environ)
    definition.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    before = inspect(service, definition)
    _end_server_run_by_hand(before)
    install_service(service, definition, at_boot=boot)
    done = "Updated" if before.is_installed else "Installed"
    when = "when this machine starts" if boot else "when you log in"
    console.print_line(f"{done}: the server starts now, and {when}.")
    console.print_line(f"  file    {service.file}")
    console.print_line("  status  local-ai server status")
    console.print_line("  undo    local-ai service uninstall")


def uninstall() -> None:
    """Stop the service; the system no longer starts the server."""
    service = find_service(find_paths())
    if uninstall_service(service):
        console.print_line("Uninstalled: the server is stopped and no longer starts by itself.")
    else:
        console.print_line("The service was not installed.")


def status(*, as_json: bool) -> int:
    """Show whether the service is installed, up to date and running: exit code 0, or 3."""
    report = look()
    if as_json:
        console.print_json(
            {
                "system": report.system,
                "file": str(report.file),
                "installed": report.is_installed,
                "current": report.is_current,
                "active": report.state.is_active,
                "starts_by_itself": report.state.starts_by_itself,
                "pid": report.state.pid,
            }
        )
    else:
        _print(report)
    return 0 if report.state.is_active else 3


def look() -> ServiceReport:
    """Compare the installed service with the one that would be installed now."""
    from local_ai.settings.load import ENV_PREFIX

    paths = find_paths()
    service = find_service(paths)
    if not service.file.exists():
        return inspect(service, None)
    seen = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    return inspect(service, _definition(paths, _installed_config(service), seen))


def installed_service() -> Service | None:
    """Return the service, if it is installed."""
    service = find_service(find_paths())
    return service if service.file.exists() else None


def start_installed(given: Mapping[str, object]) -> bool:
    """Start the server through its service; False if that is not installed, or the server runs already.

    Raises:
        ConfigError: There are options, which a service does not take.
    """
    service = installed_service()
    if service is None or ServerManager().is_running():
        return False
    _refuse_options(given)
    if not _is_underway(service):
        service.start()
    _wait_for_server(service)
    return True


def restart_installed(given: Mapping[str, object]) -> bool:
    """Stop a server that its service runs, for the service to start it again; False if none does.

    Raises:
        ConfigError: The settings are wrong, or options were given; the server keeps running.
    """
    service = installed_service()
    if service is None or not service.state().is_active:
        return False
    _refuse_options(given)
    load_settings(_installed_config(service), {})
    with console.progress(lazily=True) as say:
        if error := ServerManager(on_progress=say).stop().error:
            raise error
    return True


def _refuse_options(given: Mapping[str, object]) -> None:
    if named := [flag_of(name) for name, value in given.items() if value is not None]:
        raise ConfigError(
            "the server is a service, which uses only the settings file",
            why=f"{', '.join(named)} cannot be given to it",
            fix="write it into config.toml, then run: local-ai server restart "
            "(or uninstall the service first: local-ai service uninstall)",
        )


def _is_underway(service: Service) -> bool:
    """Wait until the service's process has a server, or has ended: False.

    Until then it begins, or ends after its server was stopped; starting the service would do nothing.
    """
    manager = ServerManager()
    deadline = time.monotonic() + _APPEARS_S
    while service.state().is_active and time.monotonic() < deadline:
        if manager.is_running():
            return True
        time.sleep(_POLL_S)
    return False


def _wait_for_server(service: Service) -> None:
    manager = ServerManager()
    deadline = time.monotonic() + _APPEARS_S
    while not manager.is_running():
        if not service.state().is_active or time.monotonic() > deadline:
            raise ServerError(
                "the service did not start the server",
                why=f"{service.system} started it, and it ended or does not answer",
                fix="read what it prints",
                command="local-ai server start --foreground",
                see=f"journalctl --user --unit {service.file.name}"
                if service.system == "systemd"
                else str(manager.paths.log("service")),
            )
        time.sleep(_POLL_S)


def _end_server_run_by_hand(before: ServiceReport) -> None:
    manager = ServerManager()
    if before.state.is_active or not manager.is_running():
        return
    console.print_note("The server that runs now was started by hand: it is stopped first.")
    if error := manager.stop().error:
        raise error


def _definition(paths: Paths, config: str | None, environ: Mapping[str, str]) -> ServiceDefinition:
    loaded = load_settings(config, {})
    return define(
        sys.executable,
        environ,
        config=Path(config).absolute() if config else None,
        log=paths.log("service"),
        drain_s=loaded.settings.server.drain_s,
    )


def _installed_config(service: Service) -> str | None:
    """Return the settings file that the installed service was given, if it still exists."""
    try:
        words = service.command_in(service.file.read_bytes())
    except OSError:
        return None
    if "--config" not in words[:-1]:
        return None
    file = words[words.index("--config") + 1]
    return file if Path(file).is_file() else None


def _print(report: ServiceReport) -> None:
    if not report.is_installed:
        console.print_line("Not installed: the server does not start by itself.")
        console.print_line("  fix: local-ai service install")
        return
    word = "Running" if report.state.is_active else "Installed, not running"
    when = "and starts by itself" if report.state.starts_by_itself else "and does not start by itself"
    pid = f" (pid {report.state.pid})" if report.state.pid else ""
    console.print_line(f"{word}{pid}, {when}: {report.system}, {report.file}")
    if not report.is_current:
        console.print_warning(
            "this installation or its settings moved since the service was installed; to update it, run: "
            "local-ai service install"
        )

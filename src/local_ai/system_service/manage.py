"""Install, inspect and uninstall the service, whichever system runs it."""

import getpass
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local_ai.atomic_file import replace_file
from local_ai.errors import LocalAIError
from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths
from local_ai.system_service.definition import ServiceDefinition
from local_ai.system_service.launchd import LaunchdService
from local_ai.system_service.system import ServiceState, run_tool
from local_ai.system_service.systemd import SystemdService

Service = SystemdService | LaunchdService

_NOT_THERE = ServiceState(is_active=False, starts_by_itself=False, pid=None)


@dataclass(frozen=True)
class ServiceReport:
    """The facts that `service.status` shows."""

    system: str  # systemd | launchd
    file: Path
    is_installed: bool
    is_current: bool  # the installed file is the one that an install would write now
    state: ServiceState


def find_service(paths: Paths, *, at_boot: bool = False, platform: str = sys.platform) -> Service:
    """Return the service of this user on this system.

    Args:
        at_boot: Of the two that macOS can have, the one that starts without a login.
    """
    if platform == "darwin":
        agent, daemon = (
            LaunchdService(Path.home(), uid=os.getuid(), user=getpass.getuser(), at_boot=boot)
            for boot in (False, True)
        )
        return daemon if at_boot or (daemon.file.exists() and not agent.file.exists()) else agent
    return SystemdService(paths.config_dir.parent)


def install(service: Service, definition: ServiceDefinition, *, at_boot: bool) -> None:
    """Write the service's file and have the system start it now and from now on; again is an update.

    Raises:
        LocalAIError: The file cannot be written, or the system refuses it. Nothing is left half done.
    """
    before = _read(service.file)
    _write(service.file, service.render(definition))
    try:
        service.enable(at_boot=at_boot)
    except LocalAIError:
        if before is None:
            _remove(service.file)
        else:
            _write(service.file, before)
        raise


def uninstall(service: Service) -> bool:
    """Stop the service and remove its file; False if there was none."""
    if _read(service.file) is None:
        return False
    service.disable()
    _remove(service.file)
    service.forget()
    return True


def inspect(service: Service, definition: ServiceDefinition | None) -> ServiceReport:
    """Compare the installed service with the one that would be installed now, and ask the system for it.

    Args:
        definition: None where nothing is installed to compare with.
    """
    content = _read(service.file)
    return ServiceReport(
        system=service.system,
        file=service.file,
        is_installed=content is not None,
        is_current=definition is not None and content == service.render(definition),
        state=_NOT_THERE if content is None else service.state(),
    )


def _read(file: Path) -> bytes | None:
    try:
        return read_regular(file)
    except OSError:
        return None


def _write(file: Path, content: bytes) -> None:
    try:
        if file.is_relative_to("/Library"):  # root's
            with tempfile.NamedTemporaryFile() as draft:
                draft.write(content)
                draft.flush()
                run_tool("sudo", "install", "-m", "644", draft.name, str(file))
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, [content], mode=0o644)
    except OSError as exc:
        raise LocalAIError(
            "the service was not installed",
            why=f"{file}: {exc.strerror}",
            fix="correct the permissions there, and try again",
        ) from exc


def _remove(file: Path) -> None:
    if file.is_relative_to("/Library"):
        run_tool("sudo", "rm", str(file))
    else:
        file.unlink(missing_ok=True)

"""A launchd property list, and launchctl, which acts on it. Written from the manuals; not run on a Mac yet.

Source: launchd.plist(5), launchctl(1).
"""

import plistlib
import re
from pathlib import Path

from local_ai.errors import LocalAIError
from local_ai.system_service.definition import ServiceDefinition
from local_ai.system_service.system import ServiceState, run_tool

LABEL = "local-ai.server"


class LaunchdService:
    """The service of this user: a LaunchAgent, or at boot a LaunchDaemon that runs as the user."""

    system = "launchd"

    def __init__(self, home: Path, *, uid: int, user: str, at_boot: bool) -> None:
        self._uid = uid
        self._user = user
        self._at_boot = at_boot
        folder = Path("/Library/LaunchDaemons") if at_boot else home / "Library/LaunchAgents"
        self.file = folder / f"{LABEL}.plist"

    def render(self, definition: ServiceDefinition) -> bytes:
        """Return the property list."""
        values = {
            "Label": LABEL,
            "ProgramArguments": list(definition.command),
            "EnvironmentVariables": dict(definition.environment),
            "RunAtLoad": True,
            # A start that fails, or a server that was lost, is started again; one that was stopped is not.
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 30,
            # Not "Background": people wait for its answers.
            "ProcessType": "Interactive",
            "ExitTimeOut": definition.stop_s,
            "StandardOutPath": str(definition.log),
            "StandardErrorPath": str(definition.log),
        }
        return plistlib.dumps(values | ({"UserName": self._user} if self._at_boot else {}))

    def command_in(self, content: bytes) -> tuple[str, ...]:
        """Return the command that a property list of ours runs; () if it is not one."""
        try:
            return tuple(map(str, plistlib.loads(content)["ProgramArguments"]))
        except (plistlib.InvalidFileException, KeyError, TypeError, ValueError):
            return ()

    def enable(self, *, at_boot: bool) -> None:
        """Have the service, whose file is written, started now and at each login, or at boot."""
        if self.state().starts_by_itself:
            self.disable()
        run_tool(*self._launchctl, "bootstrap", self._domain, str(self.file))

    def disable(self) -> None:
        """Stop it, and have it no longer started."""
        run_tool(*self._launchctl, "bootout", f"{self._domain}/{LABEL}")

    def forget(self) -> None:
        """Do nothing: launchd keeps nothing of a service that was taken out."""

    def start(self) -> None:
        """Start it now."""
        run_tool(*self._launchctl, "kickstart", f"{self._domain}/{LABEL}")

    def state(self) -> ServiceState:
        """Ask launchd for it."""
        try:
            shown = run_tool("launchctl", "print", f"{self._domain}/{LABEL}")
        except LocalAIError:  # it knows no such service
            return ServiceState(is_active=False, starts_by_itself=False, pid=None)
        pid = re.search(r"^\s*pid = (\d+)$", shown, re.MULTILINE)
        is_active = re.search(r"^\s*state = running$", shown, re.MULTILINE) is not None
        return ServiceState(is_active=is_active, starts_by_itself=True, pid=int(pid[1]) if pid else None)

    @property
    def _domain(self) -> str:
        return "system" if self._at_boot else f"gui/{self._uid}"

    @property
    def _launchctl(self) -> tuple[str, ...]:
        return ("sudo", "launchctl") if self._at_boot else ("launchctl",)

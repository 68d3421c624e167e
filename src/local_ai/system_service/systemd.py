"""A systemd user unit, and systemctl and loginctl, which act on it.

Source: systemd.unit(5), systemd.service(5), systemd.syntax(7), loginctl(1).
"""

import re
import shlex
from pathlib import Path

from local_ai.errors import ConfigError
from local_ai.system_service.definition import ServiceDefinition
from local_ai.system_service.system import ServiceState, run_tool

UNIT = "local-ai.service"
# systemd takes no quotes, backslashes or dollar signs in the name of the program itself.
_BY_SHELL = ("/bin/sh", "-c", 'exec "$@"', "local-ai")

_UNIT = """\
[Unit]
Description=local-ai: one local endpoint for large language models
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=exec
ExecStart={command}
{environment}
# supervisord ends its programs itself; what is left after the wait is killed.
KillMode=mixed
TimeoutStopSec={stop_s}
Restart=on-failure
RestartSec=5
# Wrong settings (2) and a taken port (5) stay wrong.
RestartPreventExitStatus=2 5

[Install]
WantedBy=default.target
"""


class SystemdService:
    """The service of this user, under `systemctl --user`."""

    system = "systemd"

    def __init__(self, config_home: Path) -> None:
        """Name the service.

        Args:
            config_home: `$XDG_CONFIG_HOME`, where systemd looks for a user's units.
        """
        self.file = config_home / "systemd/user" / UNIT

    def render(self, definition: ServiceDefinition) -> bytes:
        """Return the unit's text."""
        return _UNIT.format(
            command=" ".join(map(_quoted, (*_BY_SHELL, *definition.command))),
            environment="\n".join(
                f"Environment={_quoted(f'{name}={value}', dollar='$')}"
                for name, value in definition.environment
            ),
            stop_s=definition.stop_s,
        ).encode()

    def command_in(self, content: bytes) -> tuple[str, ...]:
        """Return the command that a unit of ours runs; () if it is not one."""
        line = re.search(r"^ExecStart=(.*)$", content.decode(errors="replace"), re.MULTILINE)
        words = shlex.split(line[1].replace("%%", "%").replace("$$", "$")) if line else []
        return tuple(words[len(_BY_SHELL) :])

    def enable(self, *, at_boot: bool) -> None:
        """Have the unit, which is written, started now and at each login, or at boot."""
        run_tool("systemctl", "--user", "daemon-reload")
        run_tool("systemctl", "--user", "enable", UNIT)
        run_tool("loginctl", "enable-linger" if at_boot else "disable-linger")
        run_tool("systemctl", "--user", "restart", UNIT)

    def disable(self) -> None:
        """Stop it, and have it no longer started."""
        run_tool("systemctl", "--user", "disable", "--now", UNIT)

    def forget(self) -> None:
        """Tell systemd that the unit's file was removed."""
        run_tool("systemctl", "--user", "daemon-reload")

    def start(self) -> None:
        """Start it now."""
        run_tool("systemctl", "--user", "start", UNIT)

    def state(self) -> ServiceState:
        """Ask systemd for it."""
        shown = run_tool("systemctl", "--user", "show", UNIT, "--property=ActiveState,UnitFileState,MainPID")
        values = dict(line.partition("=")[::2] for line in shown.splitlines())
        return ServiceState(
            is_active=values.get("ActiveState") in {"active", "activating", "reloading"},
            starts_by_itself=values.get("UnitFileState") == "enabled",
            pid=int(values.get("MainPID") or 0) or None,
        )


def _quoted(word: str, *, dollar: str = "$$") -> str:
    """Quote a word for a unit file.

    Args:
        dollar: How a dollar sign is written: doubled in commands, as it is in `Environment=`.
    """
    if "\n" in word or "\0" in word:
        raise ConfigError(
            "the service was not installed",
            why=f"{word!r} has a line break, which a unit file cannot hold",
            fix="use a path without one",
        )
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", dollar)
    return f'"{escaped}"'

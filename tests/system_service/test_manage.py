"""Installing and uninstalling, with a systemctl and a launchctl that note what they are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_ai.errors import LocalAIError
from local_ai.settings.paths import find_paths
from local_ai.system_service.definition import ServiceDefinition
from local_ai.system_service.launchd import LaunchdService
from local_ai.system_service.manage import find_service, inspect, install, uninstall
from local_ai.system_service.systemd import SystemdService

DEFINITION = ServiceDefinition(("/usr/bin/python3", "-m", "local_ai"), (("HOME", "/h"),), Path("/log"), 40)
MOVED = ServiceDefinition(("/new/python3", "-m", "local_ai"), (("HOME", "/h"),), Path("/log"), 40)


class Tools:
    """Programs named as the system's, first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked = folder / "asked"

    def make(self, name: str, answers: str = "exit 0") -> None:
        """Make one; `answers` is shell, with the words in "$*"."""
        file = self._folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {self._asked}\n{answers}\n')
        file.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    made = Tools(folder)
    shown = "ActiveState=active\nUnitFileState=enabled\nMainPID=4312"
    made.make("systemctl", f'case "$*" in *show*) printf "{shown}";; esac')
    made.make("loginctl")
    return made


def test_an_installed_service_is_started_now_and_at_each_login(tools: Tools, tmp_path: Path):
    service = SystemdService(tmp_path)

    install(service, DEFINITION, at_boot=False)

    assert tools.asked == [
        "systemctl --user daemon-reload",
        "systemctl --user enable local-ai.service",
        "loginctl disable-linger",
        "systemctl --user restart local-ai.service",
    ]
    report = inspect(service, DEFINITION)
    assert (report.is_installed, report.is_current) == (True, True)
    assert (report.state.is_active, report.state.starts_by_itself, report.state.pid) == (True, True, 4312)


def test_an_installation_that_moved_is_noticed_and_installed_anew(tools: Tools, tmp_path: Path):
    service = SystemdService(tmp_path)
    install(service, DEFINITION, at_boot=False)
    assert not inspect(service, MOVED).is_current

    install(service, MOVED, at_boot=True)

    assert inspect(service, MOVED).is_current
    assert "loginctl enable-linger" in tools.asked


def test_an_install_that_the_system_refuses_leaves_nothing(tools: Tools, tmp_path: Path):
    tools.make("systemctl", 'echo "Failed to connect to bus: No medium found" >&2; exit 1')
    service = SystemdService(tmp_path)

    with pytest.raises(LocalAIError) as caught:
        install(service, DEFINITION, at_boot=False)

    assert str(caught.value) == (
        "error: the system's service manager did not do what was asked\n"
        "  why: systemctl --user daemon-reload: Failed to connect to bus: No medium found\n"
        "  fix: run this as the user who logs in, in a session of your own (not with sudo, nor in a "
        "container)"
    )
    assert not service.file.exists()


def test_an_update_that_the_system_refuses_keeps_the_older_service(tools: Tools, tmp_path: Path):
    service = SystemdService(tmp_path)
    install(service, DEFINITION, at_boot=False)
    tools.make("systemctl", "exit 1")

    with pytest.raises(LocalAIError):
        install(service, MOVED, at_boot=False)

    assert service.file.read_bytes() == service.render(DEFINITION)


def test_an_uninstalled_service_is_stopped_and_its_file_removed(tools: Tools, tmp_path: Path):
    service = SystemdService(tmp_path)
    install(service, DEFINITION, at_boot=False)

    assert uninstall(service)

    assert tools.asked[-2:] == [
        "systemctl --user disable --now local-ai.service",
        "systemctl --user daemon-reload",
    ]
    assert not service.file.exists()
    assert not uninstall(service)


def test_launchd_is_given_the_agent_and_tells_of_it(tools: Tools, tmp_path: Path):
    tools.make(
        "launchctl",
        f'case "$*" in print*) [ -e {tmp_path}/loaded ] || exit 113; '
        f'printf "\\tstate = running\\n\\tpid = 77\\n";;'
        f" bootstrap*) touch {tmp_path}/loaded;; bootout*) rm {tmp_path}/loaded;; esac",
    )
    service = LaunchdService(tmp_path, uid=501, user="ada", at_boot=False)

    install(service, DEFINITION, at_boot=False)
    state = inspect(service, DEFINITION).state
    install(service, MOVED, at_boot=False)
    uninstall(service)

    assert (state.is_active, state.pid) == (True, 77)
    file = tmp_path / "Library/LaunchAgents/local-ai.server.plist"
    assert [line for line in tools.asked if "print" not in line] == [
        f"launchctl bootstrap gui/501 {file}",
        "launchctl bootout gui/501/local-ai.server",
        f"launchctl bootstrap gui/501 {file}",
        "launchctl bootout gui/501/local-ai.server",
    ]


def test_each_system_has_its_own_service(tmp_path: Path):
    paths = find_paths({"HOME": str(tmp_path)})

    assert find_service(paths, platform="linux").file == tmp_path / ".config/systemd/user/local-ai.service"
    assert (
        find_service(paths, platform="darwin").file
        == Path.home() / "Library/LaunchAgents/local-ai.server.plist"
    )
    daemon = find_service(paths, at_boot=True, platform="darwin")
    assert daemon.file == Path("/Library/LaunchDaemons/local-ai.server.plist")

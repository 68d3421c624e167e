"""`server.start` where a service is installed whose process begins, ends, or does neither."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local_ai.cli.commands import service as commands
from local_ai.errors import ServerError
from local_ai.system_service.system import ServiceState


@dataclass
class Service:
    """A service whose process lives for so many looks, and has a server after so many."""

    looks_until_end: int = 0
    looks_until_server: int = 10**6
    starts: int = 0
    file: Path = Path("local-ai.service")
    system: str = "systemd"
    _looks: int = field(default=0, init=False)

    def start(self) -> None:
        """Do nothing where its process lives, as systemctl does."""
        self.starts += 1
        if not self._lives:
            self.looks_until_end, self.looks_until_server = 10**6, self._looks + 2

    @property
    def _lives(self) -> bool:
        return self._looks < self.looks_until_end

    def state(self) -> ServiceState:
        self._looks += 1
        return ServiceState(is_active=self._lives, starts_by_itself=True, pid=1 if self._lives else None)

    def is_running(self) -> bool:
        return self._lives and self._looks >= self.looks_until_server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_POLL_S", 0.0)


def installed(monkeypatch: pytest.MonkeyPatch, service: Service) -> Service:
    monkeypatch.setattr(commands, "installed_service", lambda: service)
    monkeypatch.setattr(commands, "ServerManager", lambda: service)
    return service


@pytest.mark.parametrize("looks_until_end", [0, 1, 5])
def test_a_service_that_still_ends_is_started_once_it_has(
    looks_until_end: int, monkeypatch: pytest.MonkeyPatch
):
    service = installed(monkeypatch, Service(looks_until_end=looks_until_end))

    assert commands.start_installed({})

    assert service.is_running()
    assert service.starts == 1


def test_a_service_that_begins_is_waited_for_and_not_started_again(monkeypatch: pytest.MonkeyPatch):
    service = installed(monkeypatch, Service(looks_until_end=10**6, looks_until_server=4))

    assert commands.start_installed({})

    assert service.starts == 0


def test_a_service_that_ends_again_before_it_has_a_server_is_an_error(monkeypatch: pytest.MonkeyPatch):
    service = installed(monkeypatch, Service())
    monkeypatch.setattr(service, "start", lambda: None)

    with pytest.raises(ServerError, match="the service did not start the server"):
        commands.start_installed({})

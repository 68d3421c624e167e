"""Process managers that keep one trivial HTTP child, each in its own words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from benchmarks.clock import run

_CHILD = Path(__file__).with_name("child.py")


class Manager(Protocol):
    """Something that starts, watches and stops a child."""

    name: str
    restarts: bool  # whether a child that crashed comes back

    def start(self) -> None:
        """Begin; the child need not answer yet."""

    def status(self) -> bool:
        """Ask how the child is, with the manager's own command; False where there is none."""

    def stop(self) -> None:
        """End the child and the manager."""

    def processes(self) -> list[psutil.Process]:
        """Return the manager's own processes, without the child; [] where there is none."""


@dataclass
class Place:
    """Where a manager works: its folder, the child's port, the environment and the commands there are."""

    folder: Path
    port: int
    environ: Mapping[str, str]
    commands: Mapping[str, Path]

    @property
    def child(self) -> list[str]:
        return [sys.executable, "-I", str(_CHILD), str(self.port)]

    def command(self, name: str, *words: str | Path) -> None:
        run([self.commands[name], *words], self.environ, cwd=self.folder)

    def spawn(self, *words: str) -> subprocess.Popen[bytes]:
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            words, env=dict(self.environ), cwd=self.folder, stdin=nowhere, stdout=nowhere, stderr=nowhere
        )


class Bare:
    """No manager: the child itself."""

    name = "bare subprocess"
    restarts = False

    def __init__(self, place: Place) -> None:
        self._place = place

    def start(self) -> None:
        self._process = self._place.spawn(*self._place.child)

    def status(self) -> bool:
        return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def processes(self) -> list[psutil.Process]:
        return []


class Supervisord:
    """supervisord, asked with supervisorctl, as one sets it up by hand."""

    name = "supervisord"
    restarts = True

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pid_file = place.folder / "pid"
        (place.folder / "conf").write_text(
            f"[unix_http_server]\nfile=sock\n[supervisord]\npidfile=pid\nlogfile=log\n"
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = "
            "supervisor.rpcinterface:make_main_rpcinterface\n[supervisorctl]\nserverurl=unix://sock\n"
            f"[program:child]\ncommand={' '.join(place.child)}\n"
        )

    def start(self) -> None:
        self._place.command("supervisord", "-c", "conf")

    def status(self) -> bool:
        self._place.command("supervisorctl", "-c", "conf", "status")
        return True

    def stop(self) -> None:
        self._place.command("supervisorctl", "-c", "conf", "shutdown")

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(int(self._pid_file.read_text()))]


class Circus:
    """circusd, asked with circusctl."""

    name = "circus"
    restarts = True

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pid_file = place.folder / "pid"
        self._endpoint = f"ipc://{place.folder}/ctl"
        (place.folder / "ini").write_text(
            f"[circus]\nendpoint = {self._endpoint}\npubsub_endpoint = ipc://{place.folder}/pub\n"
            f"[watcher:child]\ncmd = {' '.join(place.child)}\ncopy_env = True\n"
        )

    def start(self) -> None:
        self._place.command("circusd", "--daemon", "--pidfile", self._pid_file, "ini")

    def status(self) -> bool:
        self._place.command("circusctl", "--endpoint", self._endpoint, "status")
        return True

    def stop(self) -> None:
        self._place.command("circusctl", "--endpoint", self._endpoint, "quit")

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(int(self._pid_file.read_text()))]


class Pm2:
    """pm2 with a daemon of its own."""

    name = "pm2"
    restarts = True

    def __init__(self, place: Place) -> None:
        environ = {**place.environ, "PM2_HOME": str(place.folder / "pm2")}
        self._place = Place(place.folder, place.port, environ, place.commands)

    def start(self) -> None:
        python, *words = self._place.child
        self._place.command(
            "pm2", "start", "--silent", python, "--interpreter", "none", "--name", "child", "--", *words
        )

    def status(self) -> bool:
        self._place.command("pm2", "status")
        return True

    def stop(self) -> None:
        self._place.command("pm2", "kill")

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(int((self._place.folder / "pm2/pm2.pid").read_text()))]


class Honcho:
    """honcho, which starts and stops a Procfile's programs, and no more."""

    name = "honcho"
    restarts = False

    def __init__(self, place: Place) -> None:
        self._place = place
        (place.folder / "Procfile").write_text(f"child: {' '.join(place.child)}\n")

    def start(self) -> None:
        self._process = self._place.spawn(str(self._place.commands["honcho"]), "start")

    def status(self) -> bool:
        return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self._process.pid)]


PEERS: tuple[tuple[type[Bare | Supervisord | Circus | Pm2 | Honcho], str], ...] = (
    (Bare, ""),
    (Supervisord, "supervisord"),
    (Circus, "circusd"),
    (Pm2, "pm2"),
    (Honcho, "honcho"),
)


@contextmanager
def ended(manager: Manager) -> Iterator[None]:
    """Leave nothing of a manager running when a round fails half way."""
    try:
        yield
    except BaseException:
        try:
            manager.stop()
        except Exception as exc:
            raise RuntimeError(f"{manager.name} could not be stopped; look for it with ps") from exc
        raise

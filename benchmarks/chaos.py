"""End and pause a running server's processes at random, and start it again where supervisord was ended."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
from tests.server import Server, command_line
from tests.waits import scaled

from local_ai.supervision.program import ENGINE, GATEWAY, SUPERVISORD

_PAUSE_BETWEEN_S = (2.0, 12.0)
_PAUSED_S = (0.5, 8.0)
_MODULES = {"local_ai.engine": ENGINE, "local_ai.gateway": GATEWAY}


@dataclass(frozen=True)
class Deed:
    """One thing to do to one process."""

    program: str
    signal: signal.Signals

    @property
    def ends(self) -> bool:
        """True if the process ends by it."""
        return self.signal is not signal.SIGSTOP

    def __str__(self) -> str:
        """Return it as the table names it."""
        return f"{self.program} {self.signal.name}" if self.ends else f"{self.program} paused"


# As many of each in the long run: they come in rounds, each in an order of its own.
DEEDS = (
    Deed(ENGINE, signal.SIGKILL),
    Deed(ENGINE, signal.SIGTERM),
    Deed(GATEWAY, signal.SIGKILL),
    Deed(SUPERVISORD, signal.SIGKILL),
    Deed(ENGINE, signal.SIGSTOP),
    Deed(GATEWAY, signal.SIGSTOP),
    Deed(SUPERVISORD, signal.SIGSTOP),
)


class Chaos:
    """Does one deed at a time, every 2 to 12 seconds; what is paused goes on 0.5 to 8 seconds later."""

    def __init__(self, server: Server, seed: int, note: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            seed: Of the choices and the waits.
            note: Is told each thing as it is done, as "mlx-omni-server SIGKILL" or "server.start".
        """
        self.failed_starts: list[str] = []
        self._server = server
        self._random = random.Random(seed)
        self._note = note
        self._resuming: list[tuple[threading.Timer, psutil.Process]] = []

    def run(self, stop: threading.Event) -> None:
        """Do deeds until it is told to stop; nothing is paused at the end."""
        left: list[Deed] = []
        while not stop.wait(self._random.uniform(*_PAUSE_BETWEEN_S)):
            left = left or self._random.sample(DEEDS, len(DEEDS))
            self._do(left.pop())
        for timer, process in self._resuming:
            timer.cancel()
            _resume(process)

    def _do(self, deed: Deed) -> None:
        process = processes(self._server).get(deed.program)
        if process is None:
            self._note(f"{deed}: not running just then")
            return
        self._note(str(deed))
        with suppress(psutil.NoSuchProcess):
            process.send_signal(deed.signal)
        if not deed.ends:
            paused_s = self._random.uniform(*_PAUSED_S)
            timer = threading.Timer(paused_s, self._go_on, (process, deed.program))
            timer.start()
            self._resuming.append((timer, process))
        elif deed.program == SUPERVISORD:
            self._start()

    def _go_on(self, process: psutil.Process, program: str) -> None:
        self._note(f"{program} goes on")
        _resume(process)

    def _start(self) -> None:
        """Start the server as a person would, again where that fails."""
        time.sleep(self._random.uniform(0, 1))
        for _ in range(3):
            done = self._server.run("server.start", "--timeout", f"{scaled(60):.0f}", timeout_s=180)
            if done.returncode == 0:
                self._note("server.start")
                return
            self._note(f"server.start failed with {done.returncode}")
            self.failed_starts.append(f"server.start failed with {done.returncode}: {done.stderr}")


def processes(server: Server) -> dict[str, psutil.Process]:
    """Return the server's processes that run just now, by program; the newest where there are two."""
    found: dict[str, psutil.Process] = {}
    with_words = [(process, command_line(process)) for process in server.processes()]
    for process, words in sorted(with_words, key=lambda each: each[0].pid):
        name = next((name for module, name in _MODULES.items() if module in words), SUPERVISORD)
        if words:
            found[name] = process
    return found


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()

"""The engine's side of such processes: started when needed, ended with what is asked of them.

A program of others can ask for 10 GB in one expression, or keep the interpreter's lock for hours. No thread
can be interrupted in that, but a process can be ended.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

import psutil

from local_ai.engine.isolation.serve import TOO_LARGE

_LOOK_S = 0.05  # between two looks at a process' memory; until then the caller cannot be interrupted


class ProcessStopped(Exception):
    """It took more memory than it may, or its process ended; the text says which, in words."""


class ProcessPool:
    """Processes of one program; one is kept for the next request."""

    def __init__(self, module: str, *, most_at_once: int = 8) -> None:
        """Start none yet.

        Args:
            module: Run with `python -m`; it calls `serve`.
        """
        self._module = module
        self._places = threading.Semaphore(most_at_once)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._has_ended = False

    def get_ready(self) -> None:
        """Start the first process."""
        with self._lock:
            if not self._idle and not self._has_ended:
                self._idle.append(_Process(self._module))

    def ask(self, request: bytes, *, most_memory: int) -> bytes:
        """Send a request and wait for its answer. Not for the event loop.

        Args:
            most_memory: Bytes that the process may have, looked at now and then.

        Raises:
            ProcessStopped: There is none.
        """
        with self._place() as process:
            answer = process.ask(request, most_memory)
        if answer == TOO_LARGE:
            raise _too_large(most_memory)
        return answer

    def end(self) -> None:
        """End the processes."""
        with self._lock:
            self._has_ended = True
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    @contextmanager
    def _place(self) -> Iterator[_Process]:
        """Take a process for one request; whatever is raised meanwhile ends it."""
        while not self._places.acquire(timeout=_LOOK_S):
            pass  # so that the thread can be interrupted
        try:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            process = process or _Process(self._module)
            try:
                yield process
            except BaseException:
                process.end()
                raise
            with self._lock:
                is_kept = not self._idle and not self._has_ended
                if is_kept:
                    self._idle.append(process)
            if not is_kept:
                process.end()
        finally:
            self._places.release()


class _Process:
    """One running `python -m MODULE`."""

    def __init__(self, module: str) -> None:
        ours, its = socket.socketpair()
        with its, _stops_held_back():
            self._process = subprocess.Popen([sys.executable, "-P", "-m", module], stdin=its.fileno())
        self._connection = Connection(ours.detach())

    def ask(self, request: bytes, most_memory: int) -> bytes:
        try:
            self._connection.send_bytes(request)
            while not self._connection.poll(_LOOK_S):
                if self._resident() > most_memory:
                    raise _too_large(most_memory)
            return self._connection.recv_bytes()
        except (EOFError, OSError) as exc:
            raise ProcessStopped(f"its process ended, {_how_ended(self._process.wait())}") from exc

    def end(self) -> None:
        """Kill it: it keeps nothing."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _resident(self) -> int:
        with suppress(psutil.Error):
            return int(psutil.Process(self._process.pid).memory_info().rss)
        return 0


@contextmanager
def _stops_held_back() -> Iterator[None]:
    """Have a process that is started now never see SIGTERM and SIGINT, not even before its first line runs.

    A stop of the engine goes to its whole process group, and running requests are still answered.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how_ended(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _too_large(most_memory: int) -> ProcessStopped:
    return ProcessStopped(f"it takes more than {most_memory // 1_000_000} MB of memory")

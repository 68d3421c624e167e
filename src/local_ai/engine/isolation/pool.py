"""The engine's side of such processes: started when needed, ended with what is asked of them.

A program of others can ask for 10 GB in one expression, or keep the interpreter's lock for hours. No thread
can be interrupted in that, but a process can be ended.
"""

from __future__ import annotations

import math
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
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

    def __init__(self, module: str, *, most_at_once: int = 8, patience_s: float = 0.0) -> None:
        """Start none yet.

        Args:
            module: Run with `python -m`; it calls `serve`.
            patience_s: Another process is started once none has become free for so many seconds.
        """
        self._module = module
        self._most = most_at_once
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._running = 0  # processes
        self._taken = -math.inf  # when a process was last taken
        self._has_ended = False

    def get_ready(self) -> None:
        """Start the first process."""
        if not self._running and (process := self._start()):
            self._give_back(process)

    def ask(self, request: bytes, *, most_memory: int) -> bytes:
        """Send a request and wait for its answer. Not for the event loop.

        Args:
            most_memory: Bytes that it may take, beyond what the process has when it begins.

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
        with suppress(queue.Empty):
            while True:
                self._end(self._idle.get_nowait())

    @contextmanager
    def _place(self) -> Iterator[_Process]:
        """Take a process for one request; whatever is raised meanwhile ends it."""
        process = self._take()
        try:
            yield process
        except BaseException:
            self._end(process)
            raise
        self._give_back(process)

    def _take(self) -> _Process:
        """Wait for a process, or start another one.

        Starting one takes a thousand times as long as most requests: 64 that came at once started 60.
        """
        least_s = 0.0
        while True:
            due = self._taken + self._patience_s if self._running else 0.0
            with suppress(queue.Empty):
                # Not for long: the thread may be interrupted in between.
                process = self._idle.get(timeout=min(max(due - time.monotonic(), least_s), _LOOK_S))
                self._taken = time.monotonic()
                return process
            if time.monotonic() >= due:
                if started := self._start():
                    return started
                least_s = _LOOK_S

    def _start(self) -> _Process | None:
        """Start a process; None where there are as many as there may be."""
        with self._lock:
            if self._running >= self._most:
                return None
            self._running += 1
            self._taken = time.monotonic()
        try:
            return _Process(self._module)
        except BaseException:
            with self._lock:
                self._running -= 1
            raise

    def _give_back(self, process: _Process) -> None:
        """Keep a process for the next request, unless another one is free."""
        with self._lock:
            is_kept = self._idle.empty() and not self._has_ended
            if is_kept:
                self._idle.put(process)
        if not is_kept:
            self._end(process)

    def _end(self, process: _Process) -> None:
        with self._lock:
            self._running -= 1
        process.end()


class _Process:
    """One running `python -m MODULE`."""

    def __init__(self, module: str) -> None:
        ours, its = socket.socketpair()
        with its, _stops_held_back():
            self._process = subprocess.Popen([sys.executable, "-P", "-m", module], stdin=its.fileno())
        self._connection = Connection(ours.detach())

    def ask(self, request: bytes, most_memory: int) -> bytes:
        try:
            self._connection.send_bytes(most_memory.to_bytes(8))
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

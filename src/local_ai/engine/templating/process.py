"""Processes that run chat templates: what one costs, in memory or in time, it costs itself only.

A template is a program. In one expression it can ask for 10 GB (`'a' * 10**10`), or keep the interpreter's
lock for hours (`10**10**10`); no thread can be interrupted in that, but a process can be ended.
"""

from __future__ import annotations

import importlib
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

import psutil

from local_ai.engine.templating.protocol import PROMPT, REFUSED, as_text, most_memory

_MOST_AT_ONCE = 8
_LOOK_S = 0.05  # between two looks at a process' memory; until then the caller cannot be interrupted


class TemplateRefused(Exception):
    """The template raised this: it does not take these messages, or is not valid."""


class TemplateStopped(Exception):
    """The template took more than it may, or its process ended."""


class TemplateProcesses:
    """Runs chat templates in processes that are started when needed; one is kept for the next prompt."""

    def __init__(self) -> None:
        self._places = threading.Semaphore(_MOST_AT_ONCE)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._has_ended = False

    def get_ready(self) -> None:
        """Have transformers run its templates here, and start the first process.

        It takes seconds to import: call it where that is done already.
        """
        library = importlib.import_module("transformers.utils.chat_template_utils")
        library._compile_jinja_template = lambda template: _Compiled(self, template)  # type: ignore[attr-defined]
        with self._lock:
            if not self._idle and not self._has_ended:
                self._idle.append(_Process())

    def render(self, template: str, values: dict[str, Any]) -> str:
        """Write a prompt. Not for the event loop.

        Args:
            values: What the template may read, of JSON's types.

        Raises:
            TemplateRefused: The template raised something.
            TemplateStopped: It was stopped.
        """
        request = pickle.dumps((template, values))
        with self._place() as process:
            kind, text = process.ask(request)
        if kind == PROMPT:
            return text
        if kind == REFUSED:
            raise TemplateRefused(text)
        raise _too_large(request)

    def end(self) -> None:
        """End the processes."""
        with self._lock:
            self._has_ended = True
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    @contextmanager
    def _place(self) -> Iterator[_Process]:
        """Take a process for one prompt; whatever is raised meanwhile ends it."""
        while not self._places.acquire(timeout=_LOOK_S):
            pass  # so that the thread can be interrupted
        try:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            process = process or _Process()
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


class _Compiled:
    """A template as transformers sees it."""

    def __init__(self, processes: TemplateProcesses, template: str) -> None:
        self._processes = processes
        self._template = template

    def render(self, **values: Any) -> str:
        """Write a prompt."""
        return self._processes.render(self._template, values)


class _Process:
    """One running `python -m local_ai.engine.templating`."""

    def __init__(self) -> None:
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "local_ai.engine.templating"], stdin=its.fileno()
            )
        self._connection = Connection(ours.detach())

    def ask(self, request: bytes) -> tuple[bytes, str]:
        """Send a request and wait for the answer: its kind and its text.

        Raises:
            TemplateStopped: The process took more memory than that, or ended.
        """
        try:
            self._connection.send_bytes(request)
            while not self._connection.poll(_LOOK_S):
                if self._resident() > most_memory(request):
                    raise _too_large(request)
            answer = self._connection.recv_bytes()
        except (EOFError, OSError) as exc:
            raise TemplateStopped(f"its process ended, {_how_ended(self._process.wait())}") from exc
        return answer[:1], as_text(answer[1:])

    def end(self) -> None:
        """Kill it: it keeps nothing."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _resident(self) -> int:
        with suppress(psutil.Error):
            return int(psutil.Process(self._process.pid).memory_info().rss)
        return 0


def _how_ended(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _too_large(request: bytes) -> TemplateStopped:
    most = most_memory(request) // 1_000_000
    return TemplateStopped(f"it takes more than {most} MB of memory to write them")

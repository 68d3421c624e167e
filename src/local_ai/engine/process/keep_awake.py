"""No idle sleep of a Mac while an answer runs: a `caffeinate` of its own that ends with this process.

no answer ─▶ the first begins: caffeinate starts ─▶ the last ends ─▶ 30 s without an answer: it is ended
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# An agent's next request follows within seconds; a Mac sleeps after a minute of rest at the earliest.
_GRACE_S = 30.0

log = logging.getLogger(__name__)


class KeepAwake:
    """Holds off idle sleep while at least one answer runs; does nothing on other systems than macOS.

    Source:
        caffeinate(8): `-i` prevents idle sleep, `-w PID` lasts no longer than that process.
    """

    def __init__(
        self, is_wanted: Callable[[], bool], *, grace_s: float = _GRACE_S, platform: str = sys.platform
    ) -> None:
        """Start nothing yet.

        Args:
            is_wanted: Asked as answers begin, since the setting may change.
            grace_s: Seconds after the last answer until it lets go.
        """
        self._is_wanted = is_wanted
        self._grace_s = grace_s
        self._is_mac = platform == "darwin"
        self._running = 0
        self._caffeinate: subprocess.Popen[bytes] | None = None
        self._release: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """An answer begins."""
        self._running += 1
        if self._release is not None:
            self._release.cancel()
            self._release = None
        if self._is_mac and (self._caffeinate is None or self._caffeinate.poll() is not None):
            self._start()

    def end(self) -> None:
        """An answer has ended."""
        self._running -= 1
        if not self._running and self._caffeinate is not None:
            self._release = asyncio.get_running_loop().call_later(self._grace_s, self.release)

    def release(self) -> None:
        """Let the Mac sleep."""
        caffeinate, self._caffeinate = self._caffeinate, None
        if caffeinate is not None:
            caffeinate.kill()
            caffeinate.wait()

    def _start(self) -> None:
        if not self._is_wanted():
            return
        command = ["caffeinate", "-i", "-w", str(os.getpid())]
        try:
            # close_fds=False lets Python use posix_spawn: no fork of a process that holds a model.
            self._caffeinate = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)
        except OSError as exc:
            self._is_mac = False
            log.warning("this Mac may sleep while answers run: caffeinate cannot be started: %s", exc)


class AwakeWhileAnswering:
    """ASGI middleware that counts what is posted as answers, from request to last byte."""

    def __init__(self, app: ASGIApp, keep_awake: KeepAwake) -> None:
        self._app = app
        self._keep_awake = keep_awake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        self._keep_awake.begin()
        try:
            await self._app(scope, receive, send)
        finally:
            self._keep_awake.end()

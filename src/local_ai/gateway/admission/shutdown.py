"""The gateway's states from open to stopping.

open ─SIGUSR1▶ closed ─SIGTERM▶ stopping
  ▲              │
  └──────────────┘ no stop followed

A stop sends SIGUSR1; without one it is ignored (listener/server.py). Closed: running requests finish, waiting
and new ones are refused. Stopping: running requests are cut off after a moment's grace.
"""

import asyncio
from collections.abc import Callable


class Shutdown:
    """Closed, then stopping."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.stopping = asyncio.Event()
        self._reopen: asyncio.TimerHandle | None = None
        self._listeners: list[Callable[[bool], None]] = []

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Call this whenever it closes (True) or opens again (False)."""
        self._listeners.append(listener)

    def close(self, *, reopen_after_s: float) -> None:
        """Take nothing new; open again if no stop has come by then: who asked for it may have gone."""
        self._set_closed(True)
        if self._reopen is not None:
            self._reopen.cancel()
        self._reopen = asyncio.get_running_loop().call_later(reopen_after_s, self._open_again)

    def stop(self) -> None:
        """Take nothing new, and end what runs."""
        self._set_closed(True)
        self.stopping.set()

    def _open_again(self) -> None:
        if not self.stopping.is_set():
            self._set_closed(False)

    def _set_closed(self, closed: bool) -> None:
        (self.closed.set if closed else self.closed.clear)()
        for listener in self._listeners:
            listener(closed)

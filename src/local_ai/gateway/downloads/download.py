"""One pull: its state, and the process that does it.

asking ─the hub knows it, and there is room▶ downloading ─all there▶ done
   └───────────────── an error ──────────────────┴────────────────▶ failed
                 (either) ─cancelled, or the server stops─────────▶ cancelled

What has come stays on the disk in each case, and the next pull of the same model goes on there.
"""

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from local_ai.entry import current_entry
from local_ai.printable import printable
from local_ai.settings.schema import ModelsSettings

_LOG = logging.getLogger("local_ai.gateway")
_LONGEST_LINE = 1024 * 1024
_END_S = 5.0

State = Literal["asking", "downloading", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Problem:
    """The reason for which a pull failed."""

    what: str
    why: str
    fix: str


@dataclass(frozen=True)
class Download:
    """A pull as it is at one moment."""

    id: str  # ORG/NAME, or ORG/NAME@REVISION: of these, one pull runs at a time
    name: str  # ORG/NAME
    revision: str | None  # None: main
    started_at: float  # seconds since 1970
    state: State = "asking"
    ended_at: float | None = None
    commit: str | None = None  # None until the hub has told it
    files: int | None = None  # that the model has; None until the hub has told it
    files_done: int = 0  # that are whole on the disk
    total_bytes: int | None = None  # of all its files; None until the hub has told it
    done_bytes: int = 0  # that are on the disk
    bytes_per_s: float | None = None  # over the last five seconds
    path: str | None = None  # its folder, once it is done
    warning: str = ""
    error: Problem | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in {"done", "failed", "cancelled"}


class DownloadProcess:
    """Runs one pull in a process of its own, and knows how far it is."""

    def __init__(
        self, download: Download, hub_cache: Path, settings: ModelsSettings, *, even_if_too_large: bool
    ) -> None:
        """Begin; must be called on the event loop."""
        self.now = download
        self._changed = asyncio.Event()
        self._is_cancelled = False
        self._process: asyncio.subprocess.Process | None = None
        wanted = {
            "name": download.name,
            "revision": download.revision,
            "even_if_too_large": even_if_too_large,
            "budget": settings.budget,
            "fit_check": settings.fit_check,
            "hub_cache": str(hub_cache),
            "entry": current_entry(),
        }
        self._task = asyncio.create_task(self._run(json.dumps(wanted)))

    async def follow(self) -> AsyncIterator[Download]:
        """Yield how it is now, then each change; ends with the pull."""
        while True:
            changed, now = self._changed, self.now
            yield now
            if now.has_ended:
                return
            await changed.wait()

    async def cancel(self) -> None:
        """End it; returns once its process has ended."""
        self._is_cancelled = True
        self._signal("terminate")
        done, _ = await asyncio.wait({self._task}, timeout=_END_S)
        if not done:
            self._signal("kill")
            await asyncio.wait({self._task})

    def _signal(self, name: Literal["terminate", "kill"]) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                getattr(self._process, name)()

    async def _run(self, wanted: str) -> None:
        command = (sys.executable, "-P", "-m", "local_ai.pull", wanted)
        try:
            # The write end of its stdin is held here alone: it ends with the gateway (see orphan_guard).
            self._process = process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE
            )
            if self._is_cancelled:
                self._signal("terminate")
            assert process.stdout is not None
            async for line in process.stdout:
                self._take(json.loads(line))
            why = f"its process ended with status {await process.wait()}"
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(OSError):
                await process.stdin.wait_closed()
        except (OSError, ValueError) as exc:
            self._signal("kill")
            why = str(exc)
        self._end(why)

    def _take(self, news: dict[str, Any]) -> None:
        if error := news.get("error"):
            news["error"] = Problem(**error)
        if news.get("state") in {"done", "failed"}:
            news |= {"ended_at": time.time(), "bytes_per_s": None}
        self._show(replace(self.now, **news))

    def _end(self, why: str) -> None:
        """Tell the end of a process that did not tell it itself."""
        if not self.now.has_ended:
            error = Problem(
                "the model was not downloaded",
                why,
                "pull it again, which continues where it stopped; the gateway's log may say more",
            )
            ended = replace(self.now, ended_at=time.time(), bytes_per_s=None)
            if self._is_cancelled:
                self._show(replace(ended, state="cancelled"))
            else:
                self._show(replace(ended, state="failed", error=error))
        _LOG.info("the pull of %s: %s", printable(self.now.id), self.now.state)

    def _show(self, now: Download) -> None:
        self.now = now
        self._changed.set()
        self._changed = asyncio.Event()

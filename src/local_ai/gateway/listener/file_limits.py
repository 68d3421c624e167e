"""The most connections that the gateway may have: file descriptors must never run out."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from local_ai.gateway.admission.concurrency import concurrency

if TYPE_CHECKING:
    from local_ai.settings.schema import LocalAISettings

# How many connections asyncio accepts in one turn of its loop. One that is refused is closed some turns
# later, and meanwhile more are accepted.
ACCEPTED_AT_ONCE = 32
_TURNS_TO_CLOSE = 4
# Logs, the socket of supervisord, model folders being listed, and what Python itself opens.
_OTHERS = 64
_FEWEST = 16


def most_connections(settings: LocalAISettings) -> int:
    """Return how many connections there may be, after raising the limit to what the queue may need.

    macOS gives a process 256 descriptors unless it asks for more.
    """
    _, running = concurrency(settings)
    reserved = _TURNS_TO_CLOSE * ACCEPTED_AT_ONCE + _OTHERS
    # As many again for those that only look: status, the page, health checks.
    wanted = reserved + running + 2 * (settings.gateway.max_queue + running)
    left = _raise_limit(wanted) - reserved
    # An answer that runs takes two: the client's connection and the engine's.
    return max(_FEWEST, left - running, left // 2)


def _raise_limit(wanted: int) -> int:
    """Ask for so many descriptors; returns how many there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted:
        for asked in (wanted, 10_240, 1024):  # 10240: the most macOS allows, whatever it calls its hard limit
            if soft < asked <= (wanted if hard == resource.RLIM_INFINITY else hard):
                try:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (asked, hard))
                except (OSError, ValueError):
                    continue
                return asked
    return soft

"""The engine's ends, told apart: a crash, or a signal from outside.

A request may be the cause of a crash, but not where a person or another program ended the engine by a signal.
The system kills by SIGKILL too where memory runs out; its own count of such kills tells them apart.
"""

import asyncio
import os
import re
from pathlib import Path

from local_ai.supervision.crashes import Crashes, is_from_outside, read_crashes
from local_ai.supervision.program import ENGINE

# supervisord writes the line when its loop comes round, and is woken for it (see liveness).
_PAUSES_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
_VMSTAT = Path("/proc/vmstat")


def memory_kills() -> int:
    """Return how many processes the system has killed for memory since it started; 0 where it does not say.

    Source: https://docs.kernel.org/admin-guide/mm/concepts.html#oom-killer ("oom_kill" of /proc/vmstat).
    """
    try:
        match = re.search(r"^oom_kill (\d+)$", _VMSTAT.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(match[1]) if match else 0


async def ended_from_outside(
    log: Path, *, program: str = ENGINE, since: float, memory_kills_before: int
) -> bool:
    """Tell whether the engine was ended by something else than its own crash.

    Args:
        log: supervisord's. Where there is none, the engine ends by itself alone.
        since: Seconds since 1970; the end came after that.
        memory_kills_before: `memory_kills()` of a moment before the end.

    Returns:
        Also True where supervisord does not say how it ended: that is no evidence against a request.
    """
    if not os.path.exists(log):
        return False
    for pause_s in _PAUSES_S:
        await asyncio.sleep(pause_s)
        exits = (await asyncio.to_thread(read_crashes, log)).get(program, Crashes())
        if exits.run and exits.run[-1] >= since:
            return is_from_outside(exits.reason) and memory_kills() == memory_kills_before
    return True

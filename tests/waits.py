"""How long tests wait: their own figure for a quiet machine, times how slow this one is as they begin."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from functools import cache

# Measured for this import on two quiet cores.
_QUIET_S = 0.06
_MOST = 10.0

# As `verify` of an HTTP client: reading certificates takes it 40 ms of a core, and nothing here is encrypted.
NO_TLS = False


@cache
def slowness() -> float:
    """Return how much slower this machine is than a quiet one, from 1 to 10: measured once a process."""
    took = statistics.median(_import_s() for _ in range(3))
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(_MOST, max(1.0, took / _QUIET_S, busy))


def scaled(seconds: float) -> float:
    """Return a wait that suits this machine."""
    return seconds * slowness()


def _import_s() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import asyncio, json"], check=True)
    return time.perf_counter() - began

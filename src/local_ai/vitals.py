"""What the system tells of a process and of the machine: life and memory.

Where there is a /proc (Linux) it is read directly: importing psutil takes longer than a whole `status`.
Elsewhere psutil is asked.
"""

from __future__ import annotations

import os

_PROC = "/proc"


def memory_bytes(pid: int) -> int | None:
    """Return a process's resident memory; None for one that has ended or is another user's secret."""
    if (statm := _read(pid, "statm")) is not None:
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if _has_proc():
        return None
    import psutil

    try:
        size: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
    return size


def has_ended(pid: int) -> bool:
    """Tell whether a process is over: gone, or a zombie whose parent does not care."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    if (stat := _read(pid, "stat")) is not None:
        # The name before it may hold spaces and brackets itself.
        return stat.rpartition(")")[2].split()[0] == "Z"
    if _has_proc():
        return True
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def machine_memory_bytes() -> int:
    """Return how much memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _read(pid: int, name: str) -> str | None:
    try:
        with open(f"{_PROC}/{pid}/{name}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None


def _has_proc() -> bool:
    return os.path.exists(f"{_PROC}/self/stat")  # noqa: PTH110

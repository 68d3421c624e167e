"""On what it was measured: processor, memory, system, versions, load."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

_PACKAGES = ("local-ai", "mlx-lm", "mlx", "mlx-omni-server", "supervisor", "uvicorn", "starlette", "pydantic")


def describe_machine() -> dict[str, str]:
    """Return the facts by name, in the order they should be shown."""
    facts = {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": _system(),
        "Python": platform.python_version(),
        "versions": ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name))),
    }
    return facts | ({"commit": commit} if (commit := _commit()) else {})


def load() -> str:
    """Return the load averages, so that a reader sees what else the machine did."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _processor() -> str:
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(names, '')} {platform.machine()}".strip()


def _system() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, kernel {platform.release()}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    return _output(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"])


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""

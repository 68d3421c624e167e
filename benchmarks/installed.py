"""Installs the peers into an environment of their own, once; names what could not be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clock import say

_PYTHON_PEERS = ("supervisor", "circus", "honcho")


@dataclass(frozen=True)
class Installed:
    """Where the peers' commands are, by name, and why others are not there."""

    commands: dict[str, Path]
    versions: dict[str, str]
    absent: dict[str, str]


def cache_dir() -> Path:
    """Return the folder that keeps peers and the starter model from one run to the next."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "local-ai-bench"


def install_peers(folder: Path) -> Installed:
    """Make an environment for Python's peers with uv, and one for npm's; what is there already is used."""
    commands: dict[str, Path] = {}
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name, install in {"python": _install_python, "npm": _install_npm}.items():
        try:
            found, their_versions = install(folder / name)
            commands |= found
            versions |= their_versions
        except (OSError, subprocess.SubprocessError) as exc:
            reason = getattr(exc, "stderr", "") or str(exc)
            names = _PYTHON_PEERS if name == "python" else ("pm2",)
            absent |= dict.fromkeys(names, f"could not be installed: {reason.strip().splitlines()[-1]}")
    return Installed(commands, versions, absent)


def _install_python(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    python = folder / "bin/python"
    if not (folder / "bin/circusd").exists():
        say(f"installing {', '.join(_PYTHON_PEERS)} into {folder}")
        uv = _need("uv")
        _run([uv, "venv", "--clear", "--python", sys.executable, str(folder)])
        # Compiled, as the first run of ours is left out as well.
        _run([uv, "pip", "install", "--compile-bytecode", "--python", str(python), *_PYTHON_PEERS])
    code = f"from importlib.metadata import version\nfor n in {_PYTHON_PEERS}: print(version(n))"
    versions = _run([str(python), "-c", code]).split()
    names = ("supervisord", "supervisorctl", "circusd", "circusctl", "honcho")
    return {name: folder / "bin" / name for name in names}, dict(zip(_PYTHON_PEERS, versions, strict=True))


def _install_npm(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    command = folder / "node_modules/.bin/pm2"
    if not command.exists():
        say(f"installing pm2 into {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        _run([_need("npm"), "install", "--prefix", str(folder), "--no-fund", "--no-audit", "pm2"])
    package = "node_modules/pm2/package.json"
    version = _run([_need("node"), "-p", f"require('{folder / package}').version"]).strip()
    return {"pm2": command}, {"pm2": version}


def _need(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise FileNotFoundError(f"there is no {name} on this machine")
    return found


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout

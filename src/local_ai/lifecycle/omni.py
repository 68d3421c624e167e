"""Install a part of MLX Omni Server into its own environment; safe to run again after an interruption."""

import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from local_ai.errors import LocalAIError
from local_ai.settings.paths import Paths
from local_ai.supervision.lock import exclusive
from local_ai.supervision.omni import (
    PARTS,
    Part,
    installed_parts,
    link_package,
    omni_python,
    record_parts,
    requirements,
    runs_here,
)

Progress = Callable[[str], None]

_LOCK_TIMEOUT_S = 1.0
_SHOWN_LINES = 12  # of what an installer said before it failed


def install_part(part: Part, paths: Paths, on_progress: Progress) -> tuple[str, ...]:
    """Install a part beside those that are there; by uv where there is one, else by venv and pip.

    Returns:
        The names of all parts that are installed now.

    Raises:
        LocalAIError: It cannot work on this platform, or the packages cannot be installed or imported.
    """
    if not runs_here(part):
        raise LocalAIError(
            f"{part.name} cannot be installed",
            why=f"it cannot work here: {part.why_not_here}",
            fix="use a Mac with Apple Silicon for it",
        )
    try:
        paths.omni_dir.mkdir(parents=True, exist_ok=True)
        with exclusive(paths.omni_dir / "install.lock", timeout_s=_LOCK_TIMEOUT_S):
            wanted = (*installed_parts(paths), part.name)
            _install(part, wanted, paths, on_progress)
            record_parts(paths, wanted)
    except OSError as exc:
        raise LocalAIError(
            f"{part.name} could not be installed",
            why=f"{exc.filename or paths.omni_dir}: {exc.strerror or exc}",
            fix="free some space there and make it writable, then run the command again",
        ) from exc
    return installed_parts(paths)


def _install(part: Part, wanted: Sequence[str], paths: Paths, on_progress: Progress) -> None:
    run = partial(_run, part, paths, on_progress)
    uv = shutil.which("uv")
    environment, python = str(paths.omni_dir / "env"), str(omni_python(paths))
    if not _is_usable(paths):
        shutil.rmtree(environment, ignore_errors=True)
        make = [uv, "venv", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        run("making the environment", [*make, environment])
    pip = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    needed = requirements(wanted)
    run("installing packages", [*pip, *needed.packages])
    run("installing MLX Omni Server", [*pip, "--no-deps", *needed.bare])
    link_package(paths)
    for each in PARTS:
        if each.name in wanted:
            run(f"trying {each.name}", [python, "-P", "-c", f"import {each.module}"])


def _is_usable(paths: Paths) -> bool:
    """Return True if the environment's interpreter runs and is of this Python's version."""
    ask = [str(omni_python(paths)), "-c", "import sys; print(sys.version_info[:2])"]
    with suppress(OSError):
        done = subprocess.run(ask, capture_output=True, text=True)
        return done.stdout.strip() == str(sys.version_info[:2])
    return False


def _run(part: Part, paths: Paths, on_progress: Progress, step: str, words: Sequence[str]) -> None:
    """Run a command to its end, telling what it says.

    Raises:
        LocalAIError: It failed; with the last that it said.
    """
    on_progress(f"{part.name}: {step}")
    # Not in the caller's folder: uv would take the overrides of a project there.
    with subprocess.Popen(
        words,
        cwd=paths.omni_dir,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        said: deque[str] = deque(maxlen=_SHOWN_LINES)
        for line in process.stdout:
            if text := line.strip():
                said.append(text)
                on_progress(f"{part.name}: {step}: {text}")
    if process.returncode != 0:
        raise LocalAIError(
            f"{part.name} could not be installed",
            why=[f"{step} failed with exit code {process.returncode}", *said],
            fix="fix the fault that the lines above name, then run the command again",
        )

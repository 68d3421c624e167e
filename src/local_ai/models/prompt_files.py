"""The folder of remembered prompts: what is in it, how much it may hold, its removal. Written by the engine.

    PROMPTS_DIR/written.json         bytes written so far
    PROMPTS_DIR/MODEL/model.json     the model's name and folder
    PROMPTS_DIR/MODEL/*.safetensors  its prompts' state; MODEL names the exact weights

These files hold the attention state of what was asked and answered, from which the text can be recovered.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local_ai.errors import LocalAIError
from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths
from local_ai.settings.state import write_private

GB = 1_000_000_000
MOST_BYTES = 20 * GB  # with "auto"
LEAST_FREE_BYTES = 10 * GB  # with "auto", below which nothing is kept
SUFFIX = ".safetensors"
_MODEL_FILE = "model.json"
_WRITTEN_FILE = "written.json"
_DRAFT_S = 3600.0  # a file takes no longer to write
_HOUR_S = 3600

DiskLimit = Literal["auto"] | float  # as `cache.disk`: in GB


@dataclass(frozen=True)
class DiskCacheSettings:
    """The bounds of remembered prompts on disk; they may change while the engine runs."""

    folder: Path
    disk: Callable[[], DiskLimit]
    writes_gb_per_hour: Callable[[], float]


@dataclass(frozen=True)
class ModelPrompts:
    """The remembered prompts of one model, with one state of its weights."""

    model: str
    model_folder: Path
    folder: Path
    files: int
    size_bytes: int
    last_used: float | None  # seconds since 1970; None: it has no file


@dataclass(frozen=True)
class Written:
    """The bytes written to the folder."""

    since: float = 0.0  # seconds since 1970; 0: nothing was written
    total_bytes: int = 0
    hour: int = 0  # number of the clock hour of the last write, since 1970
    hour_bytes: int = 0  # in that hour

    def in_hour(self, now: float) -> int:
        """Return the bytes written in the clock hour of `now`, in seconds since 1970."""
        return self.hour_bytes if self.hour == int(now // _HOUR_S) else 0

    def plus(self, n_bytes: int, now: float) -> Written:
        """Count a write at `now`, in seconds since 1970."""
        hour_bytes = self.in_hour(now) + n_bytes
        return Written(self.since or now, self.total_bytes + n_bytes, int(now // _HOUR_S), hour_bytes)


def prompts_dir(paths: Paths) -> Path:
    """Name the folder of remembered prompts."""
    return paths.cache_dir / "prompts"


def limit_bytes(disk: DiskLimit, folder: Path, held_bytes: int) -> int:
    """Return how many bytes may be kept now; 0: none.

    Args:
        disk: As `cache.disk` says.
        folder: Of remembered prompts; need not exist.
        held_bytes: That it holds; with "auto" they count as free.
    """
    if disk != "auto":
        return int(disk * GB)
    room = _free_bytes(folder) + held_bytes
    return 0 if room < LEAST_FREE_BYTES else min(MOST_BYTES, room // 4)


def _free_bytes(folder: Path) -> int:
    for place in (folder, *folder.parents):
        if os.path.isdir(place):
            try:
                return shutil.disk_usage(place).free
            except OSError:
                return 0
    return 0


def list_prompts(folder: Path) -> tuple[ModelPrompts, ...]:
    """List each model's remembered prompts, the latest used first."""
    try:
        entries = [Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return ()
    found = (_read_model(entry) for entry in entries)
    return tuple(sorted(found, key=lambda one: one.last_used or 0, reverse=True))


def _read_model(folder: Path) -> ModelPrompts:
    try:
        plain = json.loads(read_regular(folder / _MODEL_FILE))
        model, model_folder = str(plain["model"]), Path(plain["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        model, model_folder = folder.name, Path()
    stats = [stat for _, stat in files_of(folder)]
    used = max((stat.st_mtime for stat in stats), default=None)
    return ModelPrompts(model, model_folder, folder, len(stats), sum(stat.st_size for stat in stats), used)


def files_of(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the name of each file of one model's folder, and what the disk says of it."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False)
    except OSError:
        return


def remove_drafts(folder: Path) -> None:
    """Remove files of one model's folder that a killed engine did not finish; another may write one now."""
    with suppress(OSError):
        for draft in folder.glob(".*"):
            if draft.stat().st_mtime < time.time() - _DRAFT_S:
                draft.unlink()


def write_model(folder: Path, model: str, model_folder: Path) -> None:
    """Make one model's folder, for its owner alone, and say whose it is.

    Raises:
        OSError: It cannot be made, or a link or another user's folder is in its place.
    """
    for place in (folder.parent, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        stat = os.lstat(place)
        if place.is_symlink() or stat.st_uid != os.getuid():
            raise PermissionError(f"{place} is a link, or another user's")
        if stat.st_mode & 0o077:
            place.chmod(0o700)
    plain = {"model": model, "folder": str(model_folder)}
    write_private(folder / _MODEL_FILE, json.dumps(plain) + "\n")


def read_written(folder: Path) -> Written:
    """Read how much was written."""
    try:
        plain = json.loads(read_regular(folder / _WRITTEN_FILE))
        return Written(
            float(plain["since"]),
            int(plain["total_bytes"]),
            int(plain["hour"]),
            int(plain["hour_bytes"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Written()


def count_written(folder: Path, n_bytes: int) -> None:
    """Add to how much was written."""
    written = read_written(folder).plus(n_bytes, time.time())
    write_private(folder / _WRITTEN_FILE, json.dumps(vars(written)) + "\n")


def clear_prompts(found: tuple[ModelPrompts, ...]) -> int:
    """Remove models' remembered prompts; return the bytes given back.

    Raises:
        LocalAIError: A file cannot be removed.
    """
    try:
        for one in found:
            _remove(one.folder)
    except OSError as exc:
        raise LocalAIError(
            "not all remembered prompts were removed",
            why=f"{exc.filename}: {exc.strerror}",
            fix="correct the permissions there, then run the same command again",
        ) from exc
    return sum(one.size_bytes for one in found)


def _remove(folder: Path) -> None:
    while folder.is_dir():
        try:
            shutil.rmtree(folder)
        except OSError as exc:  # the engine made room, or wrote one more, at the same moment
            if exc.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise


def prompts_below(model_folder: Path, folder: Path) -> tuple[ModelPrompts, ...]:
    """List the remembered prompts of the models in one folder, or below it."""
    return tuple(one for one in list_prompts(folder) if one.model_folder.is_relative_to(model_folder))

"""The files that local-ai has written on this machine, and their removal; all else stays."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_ai.errors import LocalAIError
from local_ai.models.catalog import STARTER_ID
from local_ai.settings.paths import Paths
from local_ai.supervision.program import LOG_NAMES

# A draft is what a write that was cut leaves (settings/state.py); supervisord binds "<socket>.<pid>" first.
_STATE = re.compile(
    r"supervisord\.(conf|pid|sock(\.\d+)?)|(server|killed)\.pid|(engine|omni)\.sock|state\.json|lifecycle\.lock"
    r"|codex-models\.json|\.(state\.json|codex-models\.json|supervisord\.conf)\..*"
)
_LOGS = re.compile(rf"({'|'.join(map(re.escape, (*LOG_NAMES, 'service')))})\.log(\.\d+)?")
_SETTINGS = re.compile(r"config\.toml|\.config\.toml\..*")
_MODELS = re.compile(rf"{re.escape(STARTER_ID)}|\.starter-.*")
_DATA = re.compile(r"omni")
_CACHE = re.compile(r"prompts")


@dataclass(frozen=True)
class Part:
    """Files and folders in one folder of ours."""

    name: str  # "logs", say
    folder: Path
    entries: tuple[Path, ...]  # that local-ai wrote
    unknown: tuple[Path, ...]  # that are left
    size_bytes: int  # of the entries; what links lead to stays, and does not count


def list_parts(paths: Paths) -> tuple[Part, ...]:
    """List what an uninstallation removes and leaves, inner folders first; empty parts are left out."""
    inner = {paths.logs_dir, paths.models_dir}
    found = (
        _read("logs", paths.logs_dir, _LOGS, inner),
        _read("state", paths.state_dir, _STATE, inner),
        *([_read("sockets", paths.socket_dir, _STATE, inner)] if paths.socket_dir != paths.state_dir else []),
        _read("starter model", paths.models_dir, _MODELS, inner),
        _read("speech, images", paths.data_dir, _DATA, inner),
        _read("prompts", paths.cache_dir, _CACHE, inner),
        _read("settings", paths.config_dir, _SETTINGS, inner),
    )
    return tuple(part for part in found if part)


def remove_parts(parts: Iterable[Part]) -> None:
    """Remove what was listed, and the folders that are empty then.

    Raises:
        LocalAIError: Something cannot be removed; what was before it is gone.
    """
    for part in parts:
        try:
            for entry in part.entries:
                _remove(entry)
            if not any(part.folder.iterdir()):
                part.folder.rmdir()
        except OSError as exc:
            raise LocalAIError(
                "local-ai was removed in part",
                why=f"{exc.filename or part.folder}: {exc.strerror or exc}",
                fix="correct the permissions there, then run the same command again",
            ) from exc


def _read(name: str, folder: Path, own: re.Pattern[str], inner: set[Path]) -> Part | None:
    if folder.is_symlink():  # points to a place that another user may have chosen
        return Part(name, folder.parent, (), (folder,), 0)
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LocalAIError(
            "nothing was removed",
            why=f"{folder}: {exc.strerror}",
            fix="correct the permissions there, then run the same command again",
        ) from exc
    entries = [entry for entry in entries if entry not in inner or entry.is_symlink()]
    ours = tuple(entry for entry in entries if own.fullmatch(entry.name))
    unknown = tuple(entry for entry in entries if entry not in ours)
    return Part(name, folder, ours, unknown, sum(size for entry in ours for size in _sizes(entry)))


def _sizes(entry: Path) -> Iterator[int]:
    if entry.is_symlink() or not entry.is_dir():
        yield entry.lstat().st_size
        return
    for folder, _, names in os.walk(entry):
        yield from (os.lstat(os.path.join(folder, name)).st_size for name in names)  # noqa: PTH118


def _remove(entry: Path) -> None:
    if entry.is_symlink() or not entry.is_dir():
        entry.unlink(missing_ok=True)
    else:
        shutil.rmtree(entry)

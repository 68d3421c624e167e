"""The files of remembered prompts, of all models, and their order of removal."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from local_ai.models.prompt_files import files_of, remove_drafts

_STEP_S = 0.001  # between two blocks of one prompt: its end goes before its beginning


@dataclass
class _File:
    n_bytes: int
    used: float  # seconds since 1970


class DiskIndex:
    """The files in the folder; for all threads."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._files: dict[Path, _File] = {}
        if folder.is_dir() and not folder.is_symlink():
            for entry in folder.iterdir():
                if entry.is_symlink():
                    continue
                remove_drafts(entry)
                for name, stat in files_of(entry):
                    self._files[entry / name] = _File(stat.st_size, stat.st_mtime)
        self._n_bytes = sum(file.n_bytes for file in self._files.values())

    @property
    def n_bytes(self) -> int:
        return self._n_bytes

    def __contains__(self, file: Path) -> bool:
        return file in self._files

    def names(self, folder: Path) -> list[str]:
        """List the names of one model's files."""
        with self._lock:
            return [file.name for file in self._files if file.parent == folder]

    def add(self, file: Path, n_bytes: int) -> None:
        with self._lock:
            self._n_bytes += n_bytes - (self._files[file].n_bytes if file in self._files else 0)
            self._files[file] = _File(n_bytes, time.time())

    def drop(self, file: Path) -> None:
        """Take note that a file is gone."""
        with self._lock:
            if gone := self._files.pop(file, None):
                self._n_bytes -= gone.n_bytes

    def touch(self, files: list[Path]) -> None:
        """Take note that these were used, in their order; those that are gone are dropped."""
        now = time.time()
        for place, file in enumerate(files):
            used = now - place * _STEP_S
            try:
                os.utime(file, (used, used))
            except OSError:
                self.drop(file)
                continue
            with self._lock:
                if file in self._files:
                    self._files[file].used = used

    def make_room(self, most_bytes: int) -> int:
        """Remove what was used longest ago until so many bytes are left; return how many files went."""
        with self._lock:
            oldest = sorted(self._files, key=lambda file: self._files[file].used)
        removed = 0
        for file in oldest:
            if self._n_bytes <= most_bytes:
                break
            self.remove(file)
            removed += 1
        return removed

    def remove(self, file: Path) -> None:
        """Remove a file."""
        file.unlink(missing_ok=True)
        self.drop(file)

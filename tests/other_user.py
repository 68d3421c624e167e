"""Folders that may not be entered, also where the tests run as root, who may enter any."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Look at files as a user who owns none of them, where the tests are root's."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's; closed ones in it are opened again at the end."""
    folder = Path(tempfile.mkdtemp(prefix="lai-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for name in folder.rglob("*"):
            if name.is_dir():
                name.chmod(0o755)
        shutil.rmtree(folder)


def closed(folder: Path) -> Path:
    """Make a folder that nobody may enter."""
    folder.mkdir(parents=True)
    folder.chmod(0)
    return folder

"""What is there, as far as this user can see. Nothing here raises.

`pathlib` raises where a folder may not be entered; one of root's among the user's own is enough.
"""

from __future__ import annotations

import os
from pathlib import Path


def exists(path: Path) -> bool:
    """Tell whether something is there; a link that leads nowhere is nothing."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: Path) -> bool:
    """Tell whether it is a file, or a link to one."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Tell whether it is a folder, or a link to one."""
    return os.path.isdir(path)  # noqa: PTH112


def entries(folder: Path) -> list[str]:
    """List the names in a folder, in order; none where it cannot be read."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []


def current_folder() -> Path | None:
    """Return the folder that the command runs in; None where it is gone, or may not be entered."""
    try:
        here = Path.cwd()
    except OSError:
        return None
    return here if os.access(here, os.X_OK) else None

"""Files that are replaced in one step: a reader finds the old content or the new, never a part."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def replace_file(
    file: Path,
    parts: Iterable[bytes | memoryview],
    *,
    mode: int = 0o600,
    keep_mode: bool = False,
    check: Callable[[Path], object] = lambda _: None,
) -> None:
    """Write a file whole and put it in place of the old one, which stays as it is if anything fails.

    Args:
        parts: Its content, piece by piece.
        mode: Its permissions, whatever the umask.
        keep_mode: An old file's permissions stay; `mode` is for a new one.
        check: Told where the new file lies before it takes the old one's place; may refuse it.

    Raises:
        OSError: It cannot be written; nothing is left of it.
    """
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.writelines(parts)
        if keep_mode and file.exists():
            shutil.copymode(file, draft)
        else:
            draft.chmod(mode)
        check(draft)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise

"""Reading files that anybody could have put in place of our own: regular ones only, up to a size.

A named pipe would hold the reader for ever, a device has no end, and a file of many gigabytes fills memory.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 16 * 1024 * 1024


def open_regular(file: Path) -> BinaryIO:
    """Open a file to read it.

    Raises:
        OSError: It cannot be opened, or is none: a folder, a named pipe, a device.
    """
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(
            code, os.strerror(code) if stat.S_ISDIR(mode) else "it is not a regular file", str(file)
        )
    return os.fdopen(handle, "rb")


def read_regular(file: Path, *, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a file whole.

    Raises:
        OSError: As `open_regular`; or it has more than `most_bytes`.
    """
    with open_regular(file) as stream:
        content = b"" if os.fstat(stream.fileno()).st_size > most_bytes else stream.read(most_bytes + 1)
        if len(content) > most_bytes or os.fstat(stream.fileno()).st_size > most_bytes:
            raise OSError(errno.EFBIG, f"it has more than {most_bytes // 1024**2} MB", str(file))
    return content

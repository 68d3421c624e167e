"""The engine's private socket and pid file."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from local_ai.errors import ServerError

_BACKLOG = 512


def listen(path: Path) -> socket.socket:
    """Bind and listen, readable by the owner alone; a socket left by a killed engine is replaced.

    Raises:
        ServerError: It cannot be bound, or another engine answers there.
    """
    if _is_answered(path):
        raise ServerError(
            "the engine did not start",
            why=f"another engine answers on {path}",
            fix="local-ai server stop, then",
            command="local-ai server start",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise ServerError(
            "the engine did not start",
            why=f"its socket {path} cannot be made: {exc.strerror or exc}",
            fix="set XDG_STATE_HOME to a short path you can write to, then",
            command="local-ai server start",
        ) from exc
    finally:
        os.umask(before)
    return listener


@contextmanager
def pid_file(path: Path) -> Iterator[None]:
    """Hold this process's pid in a file while it runs."""
    path.write_text(f"{os.getpid()}\n", encoding="ascii")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            if int(path.read_text()) == os.getpid():
                path.unlink()


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True

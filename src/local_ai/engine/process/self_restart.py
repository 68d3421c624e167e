"""The engine restarts in place once its model was unloaded: only the end of a process frees all its memory.

Python, the C library and Metal each keep some of what a model needed. Other servers give every model a
process of its own and end it; here the engine replaces itself when no client can notice. A client that
connects meanwhile waits in the socket's backlog.

unloaded ─▶ 2 s without a request ─▶ nothing kept that can be asked for again ─▶ exec ─▶ ready, no model
"""

import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from local_ai.engine.health import HealthBoard
from local_ai.settings.state import read_target

LISTENER = "--listener"  # the option that a new engine is given
_REST_S = 2.0

log = logging.getLogger(__name__)


class SelfRestart:
    """The decision whether the engine may restart in place now."""

    def __init__(self, board: HealthBoard, keeps: Sequence[Callable[[], bool]], state_file: Path) -> None:
        """Look at these.

        Args:
            keeps: Each tells whether something is in memory that a later request may want.
            state_file: What a new engine reads. Where it cannot, or another version of local-ai is installed
                meanwhile, or none, all stays as it is.
        """
        self._board = board
        self._keeps = keeps
        self._state_file = state_file

    def is_due(self) -> bool:
        """Tell whether it would free memory, and no client would notice."""
        if self._board.rests_without_model_s() < _REST_S or any(keeps() for keeps in self._keeps):
            return False
        target = read_target(self._state_file)
        try:
            return target is not None and version("local-ai") == target.version
        except PackageNotFoundError:
            return False


def restart_in_place(listener: socket.socket) -> None:
    """Replace this process by a new engine on the same socket, which loads nothing yet; may raise OSError."""
    as_started = sys.orig_argv[1 : sys.orig_argv.index("--state") + 2]
    log.info("the engine restarts in place, to free all memory of the model that was unloaded")
    logging.shutdown()
    for number in [int(file.name) for file in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # the one that listed them is closed
            os.set_inheritable(number, number in {0, 1, 2, listener.fileno()})
    os.execv(sys.executable, [sys.executable, *as_started, LISTENER, str(listener.fileno())])

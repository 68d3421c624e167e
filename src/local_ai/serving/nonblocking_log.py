"""A program's log, which never waits for its reader.

supervisord reads the programs' output from a pipe that holds 64 KB. Where it hangs, or is paused, a plain
handler would have each program wait in its next line for ever: no answer, no stop. This one keeps the lines
until they can be written.
"""

import logging
import os
import select
import sys
from collections import deque
from pathlib import PurePath

from local_ai.printable import printable
from local_ai.serving.request_id import REQUEST_ID

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MOST_KEPT = 10_000  # pieces, each of at most PIPE_BUF bytes and mostly of a hundred


class NonblockingHandler(logging.Handler):
    """Writes lines to a descriptor as far as it takes them at once, and the rest with a later line."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._kept: deque[bytes] = deque()
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, after what was kept."""
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        except Exception:
            self.handleError(record)
            return
        self.flush()
        if len(self._kept) >= _MOST_KEPT:
            self._lost += 1
            return
        if self._lost:
            line = f"({self._lost} lines are missing here: the log was not read in time)\n".encode() + line
            self._lost = 0
        # So much is taken without waiting once poll has said that something can be written.
        # Source: https://docs.python.org/3/library/select.html#select.PIPE_BUF
        size = select.PIPE_BUF
        self._kept.extend(line[at : at + size] for at in range(0, len(line), size))
        self.flush()

    def flush(self) -> None:
        """Write what can be written without waiting."""
        try:
            while self._kept and self._poll.poll(0):
                os.write(self._descriptor, self._kept[0])
                self._kept.popleft()
        except BlockingIOError:
            return
        except OSError:  # the reader is gone for good, and so will this process be soon
            self._kept.clear()


class RequestIdFormatter(logging.Formatter):
    """Ends each line with the id of the request it is about: gateway and engine write the same one.

    Escapes stand for line breaks and control characters in the names and paths that a line quotes.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                printable(str(each)) if isinstance(each, str | PurePath) else each for each in record.args
            )
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the line without its traceback."""
        line, request_id = super().formatMessage(record), REQUEST_ID.get()
        return f"{line} [{request_id}]" if request_id else line


def log_without_blocking(level: str) -> None:
    """Have this process's log written to stderr, never waiting for its reader."""
    handler = NonblockingHandler(sys.stderr.fileno())
    handler.setFormatter(RequestIdFormatter(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])

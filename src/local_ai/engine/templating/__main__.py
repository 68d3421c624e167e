"""python -m local_ai.engine.templating: writes prompts by chat templates, until its stdin ends.

stdin is one end of a socket pair; protocol.py says what goes through it.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from local_ai.engine.templating.environment import compile_template
from local_ai.engine.templating.protocol import PROMPT, REFUSED, TOO_LARGE, as_bytes, most_memory

_MOST_CPU_S = 120  # of one prompt: the engine ends it sooner, unless the engine was killed


def main() -> None:
    """Answer one prompt after the other."""
    # A stop of the engine goes to its whole process group, and running requests are still answered.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = Connection(os.dup(0))
    with suppress(EOFError, ConnectionError):
        while True:
            kind, text = _write(connection.recv_bytes())
            connection.send_bytes(kind + text)


def _write(request: bytes) -> tuple[bytes, bytes]:
    """Write one prompt."""
    template, values = pickle.loads(request)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + _MOST_CPU_S)
    _limit(resource.RLIMIT_AS, _address_space() + most_memory(request))
    try:
        try:
            text = compile_template(template).render(**values)
            return PROMPT, as_bytes(text)
        finally:
            _limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
    except MemoryError:
        return TOO_LARGE, b""
    except Exception as exc:  # templates are programs: they raise what they like
        reason = str(exc).strip()[:1000] or type(exc).__name__
        return REFUSED, as_bytes(reason)


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = hard if most == resource.RLIM_INFINITY else min(most, hard)
    with suppress(OSError, ValueError):  # macOS takes no bound on the address space; the engine looks, too
        resource.setrlimit(kind, (most, hard))


def _address_space() -> int:
    """Bytes of this process' address space; where it is not told, far more than any has."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 50


if __name__ == "__main__":
    main()

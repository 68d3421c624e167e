"""The inside of such a process: answers one request after the other, each within bounds.

stdin is one end of a socket pair, framed by `multiprocessing.connection.Connection`. Before each request the
number of bytes comes that it may take. A request and an answer are bytes; what an answer means is between the
two that use it, but for `TOO_LARGE`.
"""

import os
import resource
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from local_ai.serving.signals import ignore_signals

TOO_LARGE = b"m"  # the answer where memory ran out


def serve(answer: Callable[[bytes], bytes], *, most_cpu_s: int) -> None:
    """Answer requests until the engine is gone.

    Args:
        answer: Makes an answer; what it raises ends the process, but for MemoryError.
        most_cpu_s: Processor time that one may take, in seconds: the engine ends it sooner, unless it was
            killed.
    """
    ignore_signals()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = Connection(os.dup(0))
    with suppress(EOFError, ConnectionError):
        while True:
            most_memory, request = int.from_bytes(connection.recv_bytes()), connection.recv_bytes()
            connection.send_bytes(_within_bounds(answer, request, most_memory, most_cpu_s))
            del request


def _within_bounds(
    answer: Callable[[bytes], bytes], request: bytes, most_memory: int, most_cpu_s: int
) -> bytes:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + most_cpu_s)
    _limit(resource.RLIMIT_AS, _address_space() + most_memory)
    try:
        return answer(request)
    except MemoryError:
        return TOO_LARGE
    finally:
        _limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)


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

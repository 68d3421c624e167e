"""How many threads OpenBLAS multiplies with on a CPU: fewer where products are small or cores are taken.

Its helper threads wait for the next product in a busy loop, which takes the cores from the threads that
answer the requests. Small products gain less from helpers than is lost so. Where other programs work, the
threads also wait in busy loops for one that has no core, and each takes the core that another one needs.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

import mlx.core as mx
import psutil
from mlx.utils import tree_flatten

from local_ai.engine.core.device import device

# Measured on two cores in tokens/s through HTTP, one thread against two. A model of 128 dimensions (matrices
# of 16,000 elements): 1.3, 1.2 and 1.05 times as many with 1, 16 and 64 rows. The starter model (330,000):
# 0.9 with one row, whose product takes as long as reading the matrix; 0.8 to 1.1 with 4 rows, 0.8 with 8.
# Larger matrices, multiplied alone: 0.6 with one row.
_QUICKLY_READ = 200_000  # elements
_FEW_ROWS = 2  # whose product takes as long as reading the matrix
_SMALL_PRODUCT = 1_100_000  # elements times rows
# On two cores, two threads and one make 15.6 and 12.0 tokens/s alone, 8.0 and 10.4 beside one program that is
# always busy, 1.6 and 6.3 beside two.
_WINDOW_S = 0.25
_TAKEN = 0.4  # cores that threads wanted and did not get
_FREE = 0.8  # cores that nobody used, enough for one thread more
_NONE_FREE = 0.2
_PTHREADS = 1  # as `openblas_get_parallel` says it; with OpenMP each thread has a number of its own


@dataclass(frozen=True)
class CoreTimes:
    """Time that the machine's cores have spent so far, in seconds."""

    at: float
    own: float  # of all cores, for this process
    idle: float  # of all cores


def core_times() -> CoreTimes:
    """Read them now; some containers do not tell what is idle, which is then no number."""
    try:
        idle = float(psutil.cpu_times().idle)
    except OSError:
        idle = math.nan
    return CoreTimes(time.monotonic(), time.process_time(), idle)


class BlasThreads:
    """The number of threads of the process's OpenBLAS."""

    def __init__(
        self,
        library: Any,
        *,
        cores: Callable[[], CoreTimes] = core_times,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the number it has now, which the user may have set, as the highest."""
        self._library = library
        self._cores = cores  # takes up to a millisecond where there are many
        self._clock = clock
        try:
            is_settable = library.openblas_get_parallel() == _PTHREADS
            self._most = int(library.openblas_get_num_threads()) if is_settable else 1
            self._set = library.openblas_set_num_threads
        except AttributeError:
            self._most = 1  # no OpenBLAS, so nothing to choose
        self._now = self._most
        self._free = self._most  # what other programs leave
        self._since: CoreTimes | None = None  # a window's begin: one number, no rest between steps

    def choose(self, *, rows: int, matrix: int) -> None:
        """Set the number for a step: half of all where its products are small, and no more than have cores.

        Args:
            rows: Tokens that are multiplied at once.
            matrix: Elements of the model's typical matrix; 0: it multiplies without BLAS.
        """
        waits_for_memory = rows <= _FEW_ROWS and matrix > _QUICKLY_READ
        is_small = 0 < rows * matrix < _SMALL_PRODUCT and not waits_for_memory
        if matrix and self._most > 1:
            self._look()
        self._use(min(max(1, self._most // 2) if is_small else self._most, self._free))

    def _look(self) -> None:
        """Learn how many threads have a core of their own."""
        before = self._since
        if before is not None and self._clock() - before.at < _WINDOW_S:
            return
        now = self._since = self._cores()
        if before is None:
            return
        took = now.at - before.at
        own, idle = (now.own - before.own) / took, (now.idle - before.idle) / took
        if idle < _NONE_FREE and self._now - own > _TAKEN:
            self._free = max(1, int(own))
        elif idle > _FREE:
            self._free = min(self._most, self._free + round(idle))

    def use_all(self) -> None:
        """Set the number to what it was at first."""
        self._use(self._most)
        self._since = None

    def _use(self, threads: int) -> None:
        if threads != self._now:
            self._set(threads)
            self._now = threads
            self._since = None


@cache
def blas_threads() -> BlasThreads:
    """Return the process's own, for the generating thread alone; it does nothing where MLX has a GPU."""
    return BlasThreads(ctypes.CDLL(None) if device() == "cpu" else None)


def typical_matrix(model: Any) -> int:
    """Return the median number of elements of a model's matrices; 0 if BLAS multiplies none.

    MLX multiplies numbers of 16 bits, and quantized ones, with code of its own.
    """
    arrays = (value for _, value in tree_flatten(model.parameters()))
    sizes = [each.shape[-1] * each.shape[-2] for each in arrays if each.ndim > 1 and each.dtype == mx.float32]
    return int(median(sizes)) if sizes else 0

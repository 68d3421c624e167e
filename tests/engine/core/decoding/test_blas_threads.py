"""How many threads a step's matrix products are given."""

import math
import subprocess
import sys

import pytest
from tests.waits import scaled

from local_ai.engine.core.decoding.blas_threads import BlasThreads, CoreTimes

_TINY, _STARTER, _LARGE = 16_384, 331_776, 4_194_304  # elements of their typical matrices

_USE = """
import ctypes
from local_ai.engine.process.blas import preload_blas
preload_blas("packaged")
import mlx.core as mx
from local_ai.engine.core.decoding.blas_threads import blas_threads
library = ctypes.CDLL(None)
library.openblas_set_num_threads(2)
threads = blas_threads()
threads.choose(rows=1, matrix=1000)
print(library.openblas_get_num_threads())
mx.eval(mx.ones((600, 600)) @ mx.ones((600, 600)))
threads.use_all()
print(library.openblas_get_num_threads())
"""


class _OpenBlas:
    """An OpenBLAS that notes each number it is given."""

    def __init__(self, threads: int, *, parallel: int = 1) -> None:
        self.threads = threads
        self.parallel = parallel
        self.given: list[int] = []

    def openblas_get_parallel(self) -> int:
        return self.parallel

    def openblas_get_num_threads(self) -> int:
        return self.threads

    def openblas_set_num_threads(self, threads: int) -> None:
        self.given.append(threads)


@pytest.mark.parametrize(("rows", "matrix"), [(1, _TINY), (64, _TINY)])
def test_small_products_get_half_of_the_threads(rows: int, matrix: int):
    library = _OpenBlas(8)

    BlasThreads(library).choose(rows=rows, matrix=matrix)

    assert library.given == [4]


@pytest.mark.parametrize(("rows", "matrix"), [(2048, _TINY), (4, _STARTER), (1, 0)])
def test_many_rows_and_products_without_blas_get_all_threads(rows: int, matrix: int):
    library = _OpenBlas(8)
    threads = BlasThreads(library)
    threads.choose(rows=1, matrix=_TINY)

    threads.choose(rows=rows, matrix=matrix)

    assert library.given == [4, 8]


@pytest.mark.parametrize("matrix", [_STARTER, _LARGE])
def test_one_row_gets_all_threads_where_reading_the_matrix_takes_the_time(matrix: int):
    library = _OpenBlas(8)
    threads = BlasThreads(library)
    threads.choose(rows=1, matrix=_TINY)

    threads.choose(rows=1, matrix=matrix)

    assert library.given == [4, 8]


def test_the_library_is_called_only_for_another_number():
    library = _OpenBlas(2)
    threads = BlasThreads(library)

    threads.use_all()
    for rows in (16, 64, 16):
        threads.choose(rows=rows, matrix=_TINY)
    threads.use_all()
    threads.choose(rows=100, matrix=_STARTER)

    assert library.given == [1, 2]


class _Machine:
    """Cores on which this process's steps and other programs work."""

    def __init__(self, cores: int) -> None:
        self.library, self.cores, self.now = _OpenBlas(cores), cores, CoreTimes(0, 0, 0)
        self.threads = BlasThreads(self.library, cores=lambda: self.now, clock=lambda: self.now.at)

    def step(self, *, own: float, idle: float, matrix: int = _LARGE) -> int:
        """Take a second; return how many threads the next step has."""
        self.threads.choose(rows=100, matrix=matrix)
        was = self.now
        self.now = CoreTimes(was.at + 1, was.own + own, was.idle + idle)
        self.threads.choose(rows=100, matrix=matrix)
        return self.library.given[-1] if self.library.given else self.cores


@pytest.mark.parametrize(
    ("cores", "own", "left"),
    [(2, 1.5, 1), (2, 1.0, 1), (8, 7.5, 7), (8, 3.2, 3)],
    ids=["one busy program", "two", "one beside eight cores", "many"],
)
def test_threads_without_a_core_are_given_up(cores: int, own: float, left: int):
    assert _Machine(cores).step(own=own, idle=0) == left


@pytest.mark.parametrize(
    ("own", "idle", "matrix"),
    [(1.9, 0, _LARGE), (1.0, 1.0, _LARGE), (0.9, 0, 0), (0.9, math.nan, _LARGE)],
    ids=["others need little", "products are few", "without BLAS", "nobody tells"],
)
def test_threads_are_kept_where_their_cores_are_not_taken(own: float, idle: float, matrix: int):
    assert _Machine(2).step(own=own, idle=idle, matrix=matrix) == 2


def test_threads_come_back_once_cores_are_free_and_not_before():
    machine = _Machine(4)

    given = [
        machine.step(own=own, idle=idle)
        for own, idle in [(2.2, 0), (2.0, 0), (2.0, 1.0), (3.0, 0.5), (3.0, 1)]
    ]

    assert given == [2, 2, 3, 3, 4]


def test_a_rest_between_answers_is_not_taken_for_other_programs_work():
    machine = _Machine(2)
    machine.threads.choose(rows=100, matrix=_LARGE)
    machine.threads.use_all()
    machine.now = CoreTimes(60, 0.1, 1)  # others worked meanwhile

    assert machine.step(own=2, idle=0) == 2


@pytest.mark.parametrize(
    "library",
    [_OpenBlas(1), _OpenBlas(8, parallel=2), None],
    ids=["set to one by the user", "with OpenMP", "no OpenBLAS"],
)
def test_a_library_whose_threads_cannot_be_chosen_is_left_as_it_is(library: _OpenBlas | None):
    threads = BlasThreads(library)

    for rows in (1, 2048):
        threads.choose(rows=rows, matrix=_TINY)

    assert library is None or library.given == []


@pytest.mark.skipif(sys.platform != "linux", reason="MLX needs no BLAS on a Mac")
def test_the_packages_library_changes_its_number():
    used = subprocess.run([sys.executable, "-c", _USE], capture_output=True, text=True, timeout=scaled(120))

    assert used.stderr == ""
    assert used.stdout.split() == ["1", "2"]

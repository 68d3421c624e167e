"""A fast BLAS for MLX on Linux, whose own is a slow reference library.

Loading OpenBLAS with global visibility before mlx is imported is enough: its symbols are found first.
The system's is taken if there is one, else the one of the package scipy-openblas32, whose names have a
prefix and are renamed in memory. Measured on two cores: matrix products at 180 (system) and 165 (package)
instead of 6 GFLOP/s, prompts of the starter model read at about 100 instead of 11 tokens/s.
"""

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from local_ai.engine.process.elf import without_prefix
from local_ai.errors import ConfigError

REFERENCE = "MLX's reference BLAS"

_PACKAGE = "scipy-openblas32"
_PREFIX = b"scipy_"
_NAMES = ("libopenblas.so.0", "libopenblas.so")
_FOLDERS = (
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/local/lib",
    "/opt/OpenBLAS/lib",
    "/home/linuxbrew/.linuxbrew/lib",
)
_FIX = (
    f"install the Python package {_PACKAGE} where local-ai is installed, or the system's OpenBLAS "
    "(Debian, Ubuntu: apt install libopenblas0-pthread), then run: local-ai server restart"
)
# Of cblas.h.
_ROW_MAJOR, _NOT_TRANSPOSED = 101, 111


@dataclass(frozen=True)
class Blas:
    """The BLAS that multiplies matrices on the CPU."""

    name: str | None  # None where MLX multiplies elsewhere: on a Mac
    fix: str | None = None  # how to get a fast one, where there should be one and is none


def preload_blas(choice: str) -> Blas:
    """Load the BLAS library that mlx, imported later, will use. Does nothing on a Mac.

    Args:
        choice: `engine.blas`: "auto" takes the system's OpenBLAS, else the package's; "packaged" the
            package's; "none" leaves MLX its own; else a path.

    Raises:
        ConfigError: The library named by path cannot be loaded, or multiplies wrongly.
    """
    if sys.platform != "linux":
        return Blas(None)
    if choice == "none":
        return Blas(REFERENCE)
    if choice not in {"auto", "packaged"}:
        return Blas(_load_named(choice))
    name = (_load_system() if choice == "auto" else None) or _load_packaged()
    return Blas(name) if name else Blas(REFERENCE, None if _has_cuda() else _FIX)


def packaged_library() -> bytes | None:
    """Return the package's library with plain names; None if it is not there, or is not as expected."""
    package = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        return None
    try:
        return without_prefix(
            (Path(package.origin).parent / "lib/libscipy_openblas.so").read_bytes(), _PREFIX
        )
    except (OSError, ValueError):
        return None


def _load_named(choice: str) -> str:
    try:
        return _load(choice, choice)
    except (OSError, ValueError) as exc:
        raise ConfigError(
            "the BLAS library cannot be loaded",
            why=f"engine.blas is {choice!r}: {exc}",
            fix='set engine.blas to "auto" or a BLAS library, then run',
            command="local-ai server restart",
        ) from exc


def _load_system() -> str | None:
    for library in system_libraries():
        with suppress(OSError, ValueError):
            return _load(library, library)
    return None


def _load_packaged() -> str | None:
    library = packaged_library()
    if library is None:
        return None
    with suppress(OSError, ValueError), os.fdopen(os.memfd_create("libopenblas.so"), "wb") as file:
        file.write(library)
        file.flush()
        return _load(f"/proc/self/fd/{file.fileno()}", _PACKAGE)
    return None


def system_libraries() -> Iterator[str]:
    """Return the names and paths by which the system's OpenBLAS may be found, the likeliest first."""
    yield from _NAMES
    for folder in _FOLDERS:
        yield from (str(Path(folder) / name) for name in _NAMES)


def _load(library: str, source: str) -> str:
    """Make a library's symbols visible to all that is loaded later; returns its name, version and source.

    Raises:
        OSError: It cannot be loaded.
        ValueError: It multiplies wrongly, or is no BLAS; its symbols stay invisible.
    """
    loaded = ctypes.CDLL(library, mode=ctypes.RTLD_LOCAL)
    check_product(loaded)
    ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    return f"{_version(loaded)} ({source})"


def check_product(library: ctypes.CDLL) -> None:
    """Multiply two small matrices of whole numbers, which come out exactly.

    Raises:
        ValueError: The product is not Python's, or there is no such function.
    """
    try:
        multiply = library.cblas_sgemm
    except AttributeError:
        raise ValueError("it has no cblas_sgemm, so it is not a BLAS") from None
    rows, inner, columns = 33, 17, 29
    a = [(7 * index) % 11 - 5 for index in range(rows * inner)]
    b = [(5 * index) % 13 - 6 for index in range(inner * columns)]
    wanted = [
        sum(a[row * inner + each] * b[each * columns + column] for each in range(inner))
        for row in range(rows)
        for column in range(columns)
    ]
    product = (ctypes.c_float * len(wanted))()
    multiply(
        *(_ROW_MAJOR, _NOT_TRANSPOSED, _NOT_TRANSPOSED, rows, columns, inner),
        *(ctypes.c_float(1), (ctypes.c_float * len(a))(*a), inner),
        *((ctypes.c_float * len(b))(*b), columns),
        *(ctypes.c_float(0), product, columns),
    )
    if list(product) != wanted:
        raise ValueError("it multiplies two small matrices wrongly")


def _version(library: ctypes.CDLL) -> str:
    """Return "OpenBLAS 0.3.34", or "BLAS" for a library that does not say what it is."""
    try:
        describe = library.openblas_get_config
    except AttributeError:
        return "BLAS"
    describe.restype = ctypes.c_char_p
    return " ".join(describe().decode("ascii", "replace").split()[:2])


def _has_cuda() -> bool:
    """Return True if MLX multiplies on a graphics card, by its packages mlx-cuda-12, mlx-cuda-13, …."""
    return any((each.name or "").startswith("mlx-cuda") for each in distributions())

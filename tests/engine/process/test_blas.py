"""The BLAS that MLX multiplies with."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waits import scaled

from local_ai.engine.process import blas
from local_ai.engine.process.blas import REFERENCE, Blas, check_product, preload_blas
from local_ai.errors import ConfigError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="MLX needs no BLAS on a Mac")

# In a process of its own: what is loaded once stays.
_USE = """
import ctypes
from local_ai.engine.process.blas import preload_blas
print(preload_blas("packaged").name)
import mlx.core as mx

class Info(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p)]
    _fields_ += [("at", ctypes.c_void_p)]

info = Info()
everywhere = ctypes.CDLL(None)
everywhere.dladdr(everywhere.cblas_sgemm, ctypes.byref(info))
print(info.file.decode())
matrix = mx.eye(64) * 2 + 1
identity = matrix @ mx.linalg.inv(matrix, stream=mx.cpu)
print(mx.abs(identity - mx.eye(64)).max().item() < 1e-4)
"""


def test_the_packages_library_multiplies_for_mlx():
    used = subprocess.run([sys.executable, "-c", _USE], capture_output=True, text=True, timeout=scaled(120))

    assert used.stderr == ""
    name, file, is_right = used.stdout.splitlines()
    assert name.startswith("OpenBLAS 0.3.")
    assert name.endswith(" (scipy-openblas32)")
    assert file.startswith("/proc/self/fd/")
    assert is_right == "True"


def test_the_systems_library_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blas, "_load", lambda library, source: f"OpenBLAS ({source})")

    assert preload_blas("auto") == Blas("OpenBLAS (libopenblas.so.0)")
    assert preload_blas("packaged") == Blas("OpenBLAS (scipy-openblas32)")


def test_without_a_systems_library_the_packages_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blas, "system_libraries", lambda: iter(["libnone.so.9", "libm.so.6"]))

    assert (preload_blas("auto").name or "").endswith(" (scipy-openblas32)")


@pytest.mark.parametrize("content", [None, b"", b"\x7fELF"], ids=["not installed", "empty", "cut off"])
def test_with_neither_the_fix_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None):
    monkeypatch.setattr(blas, "system_libraries", lambda: iter(()))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    if content is not None:
        library = tmp_path / "scipy_openblas32/lib/libscipy_openblas.so"
        library.parent.mkdir(parents=True)
        (tmp_path / "scipy_openblas32/__init__.py").touch()
        library.write_bytes(content)

    found = preload_blas("auto")

    assert found.name == REFERENCE
    assert (found.fix or "").startswith("install the Python package scipy-openblas32")


def test_mlx_keeps_its_own_where_that_is_chosen():
    assert preload_blas("none") == Blas(REFERENCE)


def test_a_library_that_is_no_blas_is_refused():
    with pytest.raises(ConfigError) as caught:
        preload_blas("libm.so.6")

    assert str(caught.value) == (
        "error: the BLAS library cannot be loaded\n"
        "  why: engine.blas is 'libm.so.6': it has no cblas_sgemm, so it is not a BLAS\n"
        '  fix: set engine.blas to "auto" or a BLAS library, then run: local-ai server restart'
    )


class _Wrong(ctypes.CDLL):
    """The C library, whose `cblas_sgemm` does nothing."""

    def __init__(self) -> None:
        super().__init__(None)
        self.cblas_sgemm = self.abs


def test_a_library_that_multiplies_wrongly_is_not_trusted():
    with pytest.raises(ValueError, match="multiplies two small matrices wrongly"):
        check_product(_Wrong())

"""The BLAS that our engine would load, for other servers to be started with."""

from __future__ import annotations

import ctypes
from pathlib import Path

from local_ai.engine.process.blas import packaged_library, system_libraries


def preloadable_blas(folder: Path) -> dict[str, str]:
    """Return the environment that preloads it, {} where there is none; a file is written to the folder."""
    if library := next(filter(_loads, system_libraries()), None):
        return {"LD_PRELOAD": library}
    if (content := packaged_library()) is None:
        return {}
    file = folder / "libopenblas.so"
    file.write_bytes(content)
    return {"LD_PRELOAD": str(file)}


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True

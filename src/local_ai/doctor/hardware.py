"""BLAS, the graphics card, memory."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from local_ai.doctor.check import Check, ok, warning, wrong
from local_ai.engine.process.blas import preload_blas
from local_ai.errors import ConfigError, ServerError
from local_ai.models.memory import available_bytes, total_bytes
from local_ai.settings.schema import EngineSettings
from local_ai.status.figures import size_in_words

_NVIDIA_DRIVER = "/proc/driver/nvidia/version"
_LONGEST_S = 60.0
# In a process of its own: an mlx that does not fit the machine may end the process that imports it.
_ASK_MLX = """\
import json, mlx.core as mx
print(json.dumps({"gpu": mx.default_device() == mx.gpu, "info": {k: v for k, v in mx.device_info().items()}}))
"""


def hardware_checks(engine: EngineSettings) -> Iterator[Check]:
    """Check what computes, by `engine.blas` and `engine.device`, and the memory."""
    yield _check_blas(engine.blas)
    yield _check_gpu(engine.device)
    yield _check_memory()


def _check_blas(choice: str) -> Check:
    try:
        blas = preload_blas(choice)
    except ConfigError as exc:
        return wrong("blas", exc)
    if blas.fix:
        return warning("blas", f"{blas.name}, which is slow", why="no OpenBLAS was found", fix=blas.fix)
    return ok("blas", blas.name or "not needed: MLX multiplies on the GPU")


def _check_gpu(choice: str) -> Check:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_MLX],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
        reason = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
        found: dict[str, Any] | None = None if done.returncode else json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as exc:
        reason, found = str(exc), None
    if found is None:
        return wrong(
            "gpu",
            ServerError(
                "MLX cannot be used", why=reason, fix="uv sync (in the checkout), or reinstall local-ai"
            ),
        )
    info = found["info"]
    name = info.get("device_name") or info.get("architecture") or "unknown"
    if choice == "cpu":
        return ok("gpu", 'not used: engine.device is "cpu"')
    if found["gpu"]:
        size = (
            info.get("max_recommended_working_set_size")
            or info.get("total_memory")
            or info.get("memory_size")
        )
        return ok("gpu", f"{name}, {size_in_words(size)} for models" if size else str(name))
    if os.path.exists(_NVIDIA_DRIVER) or shutil.which("nvidia-smi"):
        return warning(
            "gpu",
            "an NVIDIA card is not used",
            why="this MLX computes on the CPU",
            fix="install local-ai[cuda13] or local-ai[cuda12], then run",
            command="local-ai server restart",
        )
    if choice == "gpu":
        fault = ConfigError(
            "MLX finds no GPU",
            why='engine.device is "gpu"',
            fix='set engine.device to "auto", then run',
            command="local-ai server restart",
        )
        return wrong("gpu", fault)
    return ok("gpu", f"none: MLX computes on the CPU ({name})")


def _check_memory() -> Check:
    return ok(
        "memory", f"{size_in_words(available_bytes())} of {size_in_words(total_bytes())} are available now"
    )

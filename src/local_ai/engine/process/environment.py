"""The environment of the libraries under the engine: set before they are imported."""

from __future__ import annotations

import resource
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path


def tell_libraries(environ: MutableMapping[str, str], state_dir: Path) -> None:
    """Set what they read from the environment."""
    environ["HF_HUB_OFFLINE"] = "1"  # models come from this machine; nothing is downloaded by a request
    environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # Kernels that MLX compiles for an NVIDIA card: by default in the system's temporary folder.
    environ.setdefault("MLX_PTX_CACHE_DIR", str(state_dir / "kernels"))


@contextmanager
def limits_as_they_are() -> Iterator[None]:
    """Let an import ask for more open files than the system allows; it continues with fewer.

    mlx-lm 0.32 asks for 2,048 as it is imported, and its import fails where that is more than the limit.
    Source: mlx_lm/utils.py, `resource.setrlimit`.
    """
    real = resource.setrlimit

    def ask(kind: int, limits: tuple[int, int]) -> None:
        with suppress(OSError, ValueError):
            real(kind, limits)

    resource.setrlimit = ask
    try:
        yield
    finally:
        resource.setrlimit = real

"""The environment of the libraries under the engine: set before they are imported."""

import resource
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

# What MLX reads on a machine with an NVIDIA card, measured on an H100 with an 8B model in bf16.
# It keeps CUDA graphs by the operations between two ends. Ends by bytes move as conversations grow, and most
# steps make all graphs anew: 64 answers that joined one by one took 5.0 s, and 3.7 s without that bound.
# By default, a process that has made twice as many graphs as it keeps fails in every step from then on.
# cuDNN's attention makes a plan for each new length of a prompt, which takes 0.1 s and at times 1.6 s; MLX's
# own reads 2,048 tokens as fast (75 and 73 ms).
# Source: mlx 0.32.4, backend/cuda/device.cpp and lru_cache.h.
_CUDA = {
    "MLX_MAX_MB_PER_BUFFER": "1000000",
    "MLX_CUDA_GRAPH_CACHE_SIZE": "2000",
    "MLX_ENABLE_CACHE_THRASHING_CHECK": "0",
    "MLX_CUDA_USE_CUDNN_SDPA": "0",
}


def tell_libraries(environ: MutableMapping[str, str], state_dir: Path) -> None:
    """Set what they read from the environment."""
    environ["HF_HUB_OFFLINE"] = "1"  # models come from this machine; nothing is downloaded by a request
    environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # Kernels that MLX compiles for an NVIDIA card: by default in the system's temporary folder.
    environ.setdefault("MLX_PTX_CACHE_DIR", str(state_dir / "kernels"))
    if sys.platform == "linux":
        for name, value in _CUDA.items():
            environ.setdefault(name, value)


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

"""The device that MLX computes on, for the whole process. Imports mlx."""

import sys
from typing import Literal

import mlx.core as mx

from local_ai.errors import ConfigError
from local_ai.models.memory import card_total_bytes

# Of a card's memory, what MLX keeps of freed arrays. By default it keeps all: 25 GB after an 8B model was
# loaded on an H100. CUDA's graphs need memory that MLX does not count, and failed where it kept the rest.
_KEPT_SHARE = 1 / 16

Device = Literal["cpu", "metal", "cuda"]


def device() -> Device:
    """Tell what MLX computes on."""
    if mx.default_device() == mx.Device(mx.cpu):
        return "cpu"
    return "metal" if mx.metal.is_available() else "cuda"


def choose_device(choice: str) -> Device:
    """Have MLX compute on what `engine.device` says, in every thread.

    Args:
        choice: "auto" takes a GPU where MLX finds one; "cpu"; "gpu".

    Raises:
        ConfigError: "gpu", and MLX finds none.
    """
    if choice == "cpu":
        mx.set_default_device(mx.Device(mx.cpu))
    elif choice == "gpu" and device() == "cpu":
        install = "install local-ai[cuda13] or local-ai[cuda12], or " if sys.platform == "linux" else ""
        raise ConfigError(
            "models cannot be computed on a GPU",
            why='engine.device is "gpu", and MLX finds none',
            fix=f'{install}set engine.device to "auto", then run',
            command="local-ai server restart",
        )
    if (total := card_total_bytes()) is not None:
        mx.set_cache_limit(int(total * _KEPT_SHARE))
    return device()

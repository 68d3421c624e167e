"""The number of answers generated at once, where no setting says it: by the device and its memory."""

from collections.abc import Callable

from local_ai.engine.core.device import Device

SPACE_TOKENS = 1024  # of each answer's conversation that there should be memory for
# A step of more answers takes hardly longer on a card: measured on an H100 with an 8B model in bf16, 9 ms for
# one and 24 ms for 64. On a CPU it takes nearly as much longer as there are more.
MOST_ON_CPU, _MOST_ON_METAL, _MOST_ON_CUDA = 16, 32, 64


def auto_batch(on: Device, bytes_each: int, room: Callable[[], int]) -> int:
    """Choose how many answers are generated at once, at least 1.

    Args:
        bytes_each: Memory that a conversation of `SPACE_TOKENS` takes; 0: not known.
        room: Returns the bytes that can be taken still, once the model is loaded.
    """
    most = {"cpu": MOST_ON_CPU, "metal": _MOST_ON_METAL, "cuda": _MOST_ON_CUDA}[on]
    return max(1, min(most, room() // bytes_each)) if bytes_each else most

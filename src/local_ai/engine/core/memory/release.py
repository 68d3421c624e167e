"""Memory that the process has freed, and when it goes back to the system."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# glibc's alone; elsewhere the C library gives back by itself.
# Source: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

_IDLE_S = 5.0  # after the last step
_BUSY_S = 30.0  # where one step follows another
_MOST_BUFFER_BYTES = 32_000_000  # that MLX keeps after texts were embedded or ranked


def release_memory() -> None:
    """Give back what MLX and the C library keep for reuse. Imports mlx."""
    import mlx.core as mx

    mx.clear_cache()
    if _malloc_trim is not None:
        _malloc_trim(0)


def release_buffers() -> None:
    """Free the buffers that MLX keeps for reuse, where they are many: it keeps them by size.

    Hardly two batches of texts are of one size; measured with 45 s of embeddings: 33 MB, and no end.
    """
    import mlx.core as mx

    if mx.get_cache_memory() > _MOST_BUFFER_BYTES:
        mx.clear_cache()


@contextmanager
def freed_draws() -> Iterator[None]:
    """Free the random weights that layers draw while they are built, also where that fails. Imports mlx.

    Weights of a file replace them. MLX never computes the draws, and each holds the one before, by threads:
    half a megabyte more with every load, until the thread ends.
    """
    try:
        yield
    finally:
        import mlx.core as mx

        mx.eval(mx.random.state)


class MemoryRelease:
    """Memory that steps have freed: returned when no request waits, and now and then under constant load.

    Not at once: what one step frees the next one takes. Measured on two cores with the starter model, where
    blocks above 128 KB went back at once: prompts were read 20 % slower, eight answers came 8 % slower.
    """

    def __init__(self) -> None:
        self._first: float | None = None  # step since the last time
        self._last = 0.0  # step

    def stepped(self, now: float) -> None:
        """Take note that a step has ended, at a time as `time.monotonic` tells."""
        self._last = now
        if self._first is None:
            self._first = now
        elif now - self._first > _BUSY_S:
            self._give_back()

    def due_s(self, now: float) -> float | None:
        """Return in how many seconds it should be given back if no step comes; None: there is nothing."""
        return None if self._first is None else max(0.0, self._last + _IDLE_S - now)

    def idle(self, now: float) -> None:
        """Give it back if no step has come for long enough."""
        if self.due_s(now) == 0:
            self._give_back()

    def _give_back(self) -> None:
        self._first = None
        release_memory()

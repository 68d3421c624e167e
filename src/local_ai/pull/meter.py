"""The progress of a download, and its recent speed."""

import time
from collections import deque
from collections.abc import Callable

from local_ai.status.figures import in_words, size_in_words

_SPEED_OVER_S = 5.0


class Meter:
    """A download's progress and recent speed."""

    def __init__(self, total: int, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = done
        self._clock = clock
        self._seen = deque([(clock(), done)])

    def add(self, count: int) -> None:
        """Count bytes that came; negative ones have to come again."""
        now = self._clock()
        self.done += count
        self._seen.append((now, self.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _SPEED_OVER_S:
            self._seen.popleft()

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 1.0

    @property
    def bytes_per_s(self) -> float | None:
        """Bytes a second over the last five seconds; None where it is done, or nothing came yet."""
        (first_at, first), (_, last), now = self._seen[0], self._seen[-1], self._clock()
        if self.done >= self.total or now <= first_at or last <= first:
            return None
        return (last - first) / (now - first_at)

    @property
    def sentence(self) -> str:
        """Write it: "1.2 GB of 4.3 GB (28 %), 35 MB/s, 1 min left"."""
        said = f"{size_in_words(self.done)} of {size_in_words(self.total)} ({self.share:.0%})"
        speed = self.bytes_per_s
        if speed is None:
            return said
        left = in_words((self.total - self.done) / speed)
        return f"{said}, {size_in_words(round(speed))}/s, {left} left"

"""The embeddings of pictures: of those in prompts that are being read, and of the latest ones."""

from collections import OrderedDict
from dataclasses import dataclass

import mlx.core as mx

from local_ai.engine.core.array import Array
from local_ai.engine.core.vision.picture_tokens import FIRST


@dataclass(frozen=True, eq=False)
class Rows:
    """A picture's embeddings."""

    embeddings: Array  # (rows, size), or (rows, layers × size) where the first layers add their own
    places: Array | None = None  # how each row moves positions, as `PictureInputs.moves`

    @property
    def n_bytes(self) -> int:
        return int(self.embeddings.nbytes) + (0 if self.places is None else int(self.places.nbytes))


class LatestRows:
    """The rows of the latest pictures, bounded by bytes: what is missed is made again."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rows: OrderedDict[str, Rows] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        return sum(rows.n_bytes for rows in self._rows.values())

    def find(self, digest: str) -> Rows | None:
        if digest in self._rows:
            self._rows.move_to_end(digest)
        return self._rows.get(digest)

    def add(self, digest: str, rows: Rows) -> None:
        """Keep a picture's rows; the oldest go."""
        self._rows[digest] = rows
        self._rows.move_to_end(digest)
        while self._rows and self.n_bytes > self._max_bytes:
            self._rows.popitem(last=False)

    def clear(self) -> None:
        self._rows.clear()


class RowTable:
    """The rows of the prompts that are being read, in one array.

    A row's token id is `FIRST` and its number.
    """

    def __init__(self) -> None:
        self.rows: Rows | None = None  # None: no prompt with a picture is being read
        self._taken: dict[int, Rows] = {}  # by the number of the first

    def take(self, rows: Rows) -> int:
        """Add a picture's rows; return the number of the first."""
        start, count = 0, len(rows.embeddings)
        for first, others in sorted(self._taken.items()):
            if first - start >= count:
                break
            start = first + len(others.embeddings)
        self._taken[start] = rows
        self._lay_out()
        return start

    def give_back(self, start: int) -> None:
        """Take note that these rows have been read; the others stay where they are."""
        del self._taken[start]
        if not self._taken:
            self.rows = None

    def clear(self) -> None:
        self._taken.clear()
        self.rows = None

    def _lay_out(self) -> None:
        parts: list[Rows] = []
        end = 0
        for first, rows in sorted(self._taken.items()):
            if first > end:
                parts.append(_no_rows(first - end, rows))
            parts.append(rows)
            end = first + len(rows.embeddings)
        places: list[Array] = [part.places for part in parts]
        self.rows = Rows(
            mx.concatenate([part.embeddings for part in parts]),
            None if places[0] is None else mx.concatenate(places),
        )
        mx.eval(self.rows.embeddings)


def _no_rows(count: int, like: Rows) -> Rows:
    embeddings = mx.zeros((count, like.embeddings.shape[1]), like.embeddings.dtype)
    return Rows(embeddings, None if like.places is None else mx.zeros((count, 4), mx.int32))


def table_tokens(start: int, count: int) -> range:
    """Return the token ids of rows in the table."""
    return range(FIRST + start, FIRST + start + count)

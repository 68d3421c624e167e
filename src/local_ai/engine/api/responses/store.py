"""The latest responses, kept in memory so that they can be fetched and continued; a restart forgets them."""

import json
from dataclasses import dataclass
from typing import Any

from local_ai.serving.errors import ApiError

Json = dict[str, Any]

MOST_RESPONSES = 1000
MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Kept:
    """A finished response and all the items it answered."""

    body: Json
    items: tuple[Json, ...]

    @property
    def context(self) -> tuple[Json, ...]:
        """The items a continuation begins with."""
        return (*self.items, *self.body["output"])


class ResponseStore:
    """Responses by id, bounded by their number and their bytes: the oldest goes first.

    Kept as JSON: as objects they would take several times the bytes that are counted.
    """

    def __init__(self, most: int = MOST_RESPONSES, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: dict[str, bytes] = {}  # the oldest first
        self._n_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, body: Json, items: tuple[Json, ...]) -> None:
        """Keep a response; one larger than the whole store is not kept."""
        raw = json.dumps([body, items]).encode()
        if len(raw) > self._most_bytes:
            return
        self._kept[body["id"]] = raw
        self._n_bytes += len(raw)
        while self._n_bytes > self._most_bytes or len(self._kept) > self._most:
            self._forget(next(iter(self._kept)))

    def get(self, name: str, *, param: str | None = None) -> Kept:
        """Find a response.

        Raises:
            ApiError: 404: never kept here, deleted, or dropped for newer ones.
        """
        if name not in self._kept:
            raise ApiError(
                f"the response {name[:100]!r} is not here",
                why=f"the latest {self._most} are kept, in memory until a restart, unless store is false",
                fix="send the whole conversation as input" if param else "create it again",
                status=404,
                code="previous_response_not_found" if param else "response_not_found",
                param=param,
            )
        return _read(self._kept[name])

    def delete(self, name: str) -> None:
        """Forget a response; raises as `get`."""
        self.get(name)
        self._forget(name)

    def find_item(self, name: str) -> Json | None:
        """Find an item of any response kept, the latest first."""
        spelt = json.dumps(name).encode()
        for raw in reversed(tuple(self._kept.values())):  # others may be kept meanwhile
            for item in _read(raw).context if spelt in raw else ():
                if item["id"] == name:
                    return item
        return None

    def _forget(self, name: str) -> None:
        self._n_bytes -= len(self._kept.pop(name))


def _read(raw: bytes) -> Kept:
    body, items = json.loads(raw)
    return Kept(body, tuple(items))

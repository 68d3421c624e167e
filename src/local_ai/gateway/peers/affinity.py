"""Routing of conversations among machines that have the same model: to the one that read the beginning last.

A machine keeps what it has read of a prompt, so a conversation that returns to it is not read again. Each
request is known by the hashes of its beginnings: its system prompt and tools with the first turn of the user,
and then one more with each turn. Of two machines the one with the longest beginning is chosen; a conversation
that none has read goes to the least busy, and so does one whose own machine is full while another is not.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_REMEMBERED = 100_000  # hashes, of which each request adds two
_HASH_BYTES = 12
# Fields that stand before the first turn, in all dialects.
_BEFORE = ("system", "instructions", "tools")
# Set anew with each turn, on what has not changed.
_NOT_READ = ("cache_control",)


@dataclass(frozen=True)
class Place:
    """One machine that could answer, at this moment."""

    name: str
    load: int  # requests that run and wait there
    is_full: bool = False  # one more would wait


class Affinity:
    """The machine that read each beginning last; a bounded number of beginnings, the latest used."""

    def __init__(self, *, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._read_at: OrderedDict[bytes, str] = OrderedDict()
        self._turn = 0

    def choose(self, beginnings: Sequence[bytes], places: Sequence[Place]) -> Place:
        """Choose of one place or more."""
        by_name = {place.name: place for place in places}
        for beginning in reversed(beginnings):
            read_at = self._read_at.get(beginning)
            known = by_name.get(read_at) if read_at is not None else None
            if known is not None and (not known.is_full or all(place.is_full for place in places)):
                return known
        return self._least_busy(places)

    def note(self, beginnings: Sequence[bytes], name: str) -> None:
        """Remember that a place reads this: its first beginning, and all of it."""
        for beginning in dict.fromkeys((*beginnings[:1], *beginnings[-1:])):
            self._read_at[beginning] = name
            self._read_at.move_to_end(beginning)
        while len(self._read_at) > self._most:
            self._read_at.popitem(last=False)

    def _least_busy(self, places: Sequence[Place]) -> Place:
        """Choose the least busy; of several, one after the other."""
        least = min(place.load for place in places)
        idle = [place for place in places if place.load == least]
        self._turn += 1
        return idle[self._turn % len(idle)]


def beginnings_of(model: str, body: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Hash a request's beginnings, the shortest first: through the user's first turn, then turn by turn."""
    turns = _turns(body)
    digest = hashlib.blake2b(
        _written([model, *(body.get(name) for name in _BEFORE)]), digest_size=_HASH_BYTES
    )
    found: list[bytes] = []
    for turn in turns:
        digest.update(_written(turn))
        found.append(digest.digest())
    first = next((number for number, turn in enumerate(turns) if _is_users(turn)), 0)
    return tuple(found[first:])


def _turns(body: Mapping[str, Any]) -> list[Any]:
    for name in ("messages", "input", "prompt"):
        if (turns := body.get(name)) is not None:
            return turns if isinstance(turns, list) and turns else [turns]
    return [None]


def _is_users(turn: Any) -> bool:
    return not isinstance(turn, dict) or turn.get("role") not in ("system", "developer")


def _written(value: Any) -> bytes:
    """Write a value for hashing, with its length, so that two together are no other two."""
    text = json.dumps(_as_read(value), separators=(",", ":"), sort_keys=True)
    return f"{len(text)}:{text}".encode()


def _as_read(value: Any) -> Any:
    if isinstance(value, dict):
        kept: Iterable[tuple[str, Any]] = ((k, v) for k, v in value.items() if k not in _NOT_READ)
        return {key: _as_read(inner) for key, inner in kept}
    if isinstance(value, list):
        parts = [_as_read(inner) for inner in value]
        # One part of text is the text alone: Claude Code writes a turn the one way, then the other.
        is_text = len(parts) == 1 and isinstance(parts[0], dict) and parts[0].keys() == {"type", "text"}
        return parts[0]["text"] if is_text else parts
    return value

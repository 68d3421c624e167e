"""Takes an answer's text apart while it grows: thoughts, tool calls, and where a stop string ends it.

    text ⇄ thought (between the model's thought marks)
      ⇅
    call (between its call marks, given out whole)

Stop strings and marks are found in the text, wherever token borders fall, so what may be the beginning
of one is held back until the next token tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from local_ai.engine.core.tokenizer import Marks

Kind = Literal["text", "thought", "call"]


@dataclass(frozen=True)
class Segment:
    """A piece of one kind; a call's is its whole body."""

    kind: Kind
    text: str


class Splitter:
    """One answer's text, taken apart."""

    def __init__(
        self,
        *,
        thought: Marks | None = None,
        calls: Marks | None = None,
        stops: Iterable[str] = (),
        in_thought: bool = False,
    ) -> None:
        self._thought = thought
        self._calls = calls
        self._stops = tuple(stops)
        self._kind: Kind = "thought" if in_thought and thought else "text"
        self._held = ""
        self._trim_next = in_thought  # line breaks around marks belong to nobody
        self.consumed = 0  # characters that have been decided about
        self.stop: str | None = None  # the stop string met; nothing is given out after it

    @property
    def kind(self) -> Kind:
        return self._kind

    def feed(self, text: str) -> list[Segment]:
        """Add text; return what can be given out now."""
        self._held += text
        segments: list[Segment] = []
        while self.stop is None and (found := self._find_mark()):
            at, mark = found
            segments += self._give(self._held[:at])
            self._take(at + len(mark))
            self._pass(mark)
        if self.stop is None and self._kind != "call":
            keep = self._length_to_hold()
            ready = self._held[: len(self._held) - keep]
            segments += self._give(ready)
            self._take(len(ready))
        return segments

    def finish(self) -> list[Segment]:
        """Return what was held back; an unfinished call as far as it came."""
        if self.stop is not None:
            return []
        segments = self._give(self._held)
        self._take(len(self._held))
        return segments

    def _marks(self) -> tuple[str, ...]:
        """What may come next and mean something."""
        if self._kind == "thought":
            return (self._thought.end,) if self._thought else ()
        if self._kind == "call":
            return (self._calls.end,) if self._calls and self._calls.end else ()
        starts = (marks.start for marks in (self._thought, self._calls) if marks)
        return (*starts, *self._stops)

    def _find_mark(self) -> tuple[int, str] | None:
        found = [(at, mark) for mark in self._marks() if (at := self._held.find(mark)) >= 0]
        return min(found, key=lambda pair: pair[0], default=None)

    def _pass(self, mark: str) -> None:
        if self._kind in ("thought", "call"):
            self._kind, self._trim_next = "text", True
        elif self._thought and mark == self._thought.start:
            self._kind, self._trim_next = "thought", True
        elif self._calls and mark == self._calls.start:
            self._kind = "call"
        else:
            self.stop = mark

    def _give(self, text: str) -> list[Segment]:
        if self._trim_next and self._kind != "call":
            text = text.lstrip("\n")
            self._trim_next = not text
        return [Segment(self._kind, text)] if text else []

    def _take(self, count: int) -> None:
        self._held = self._held[count:]
        self.consumed += count

    def _length_to_hold(self) -> int:
        """Length of the longest end of the text that a mark may begin with."""
        return max((_overlap(self._held, mark) for mark in self._marks()), default=0)


def _overlap(text: str, mark: str) -> int:
    most = min(len(text), len(mark) - 1)
    return next((length for length in range(most, 0, -1) if text.endswith(mark[:length])), 0)

"""Parses an answer's text while it grows: thoughts, tool calls, and where a stop string ends it.

    text ⇄ thought   between the format's thought marks
      ⇅
    call             from one of its openings to its end mark, or the answer's; given out whole
      ⇅
    header           of formats whose answers are several messages: says what the next message is

Stop strings and marks are found in the text, wherever token borders fall, so what may be the beginning
of one is held back until the next token tells. Of several marks at one place the longest counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from local_ai.engine.formats.format import Format, Kind, Opening, Tools, overlap

_BARE = Opening("")  # a call without a mark
_State = Literal["text", "thought", "call", "header"]


@dataclass(frozen=True)
class Segment:
    """A piece of one kind; a call's is its whole body."""

    kind: Kind
    text: str
    shown: str = ""  # of a call: all that the model wrote, marks included, for what turns out to be none


class OutputParser:
    """The parser of one answer's text."""

    def __init__(
        self,
        form: Format | None = None,
        *,
        tools: Tools | None = None,
        stops: Iterable[str] = (),
        in_thought: bool = False,
    ) -> None:
        """Begin an answer.

        Args:
            form: The model's; None leaves all but stop strings as it is.
            tools: Those that may be called; None or none: calls mean nothing.
            in_thought: The prompt has begun a thought.
        """
        self._form = form
        self._thought = form.thought if form else None
        self._openings = {one.mark: one for one in form.calls.openings} if form and tools else {}
        self._hidden = tuple(mark for mark in form.hidden if mark not in self._openings) if form else ()
        self._channels = form.channels if form else None
        self._ends = tuple(end for one in self._openings.values() for end in one.ends)
        self._bare = form.calls.begins_bare(tools) if form and tools else ()
        self._stops = tuple(stops)
        self._state: _State = "thought" if in_thought and self._thought else "text"
        self._opening = _BARE
        self._body = ""  # of the call or header under way, without what is held
        self._held = ""
        self._trim_next = in_thought  # line breaks around marks are dropped
        self._begins = self._state == "text"  # nothing was given out yet
        self._after_call = False  # nothing but white space came since
        self._firsts: dict[_State, frozenset[str]] = {}
        self.consumed = 0  # characters that have been decided about
        self.stop: str | None = None  # the stop string met; nothing is given out after it

    @property
    def kind(self) -> Kind:
        return "text" if self._state == "header" else self._state

    def feed(self, text: str) -> list[Segment]:
        """Add text; return what can be given out now."""
        if not self._held and self._is_steady() and self._first_characters().isdisjoint(text):
            self.consumed += len(text)
            return [Segment(self.kind, text)] if text else []
        self._held += text
        if self._begins and not self._begin():
            return []
        return self._go_on(at_end=False)

    def _is_steady(self) -> bool:
        """True if text is given out as it is, but for marks."""
        in_text = self._state in ("text", "thought")
        return in_text and not (self._begins or self._trim_next or self._after_call or self.stop is not None)

    def _first_characters(self) -> frozenset[str]:
        """Return what the marks of a steady state begin with."""
        if self._state not in self._firsts:
            self._firsts[self._state] = frozenset(mark[0] for mark in self._marks() if mark)
        return self._firsts[self._state]

    def finish(self) -> list[Segment]:
        """Return what was held back; an unfinished call as far as it came."""
        if self.stop is not None:
            return []
        segments = self._go_on(at_end=True)
        if self.stop is None and self._state == "call":
            segments += self._end_call("", self._body + self._take(len(self._held)))
        elif self.stop is None and self._state != "header":
            rest = self._take(len(self._held))
            segments += self._give(self._form.without_cut(rest) if self._form else rest)
        return segments

    def _begin(self) -> bool:
        """Decide how an answer without a mark begins; False if more text is needed."""
        compact = "".join(self._held.split())
        if self._bare and any(one.startswith(compact) for one in self._bare):
            return False
        if self._channels and "to=".startswith(compact):
            return False
        self._begins = False
        if self._bare and compact.startswith(self._bare):
            self._state, self._opening = "call", _BARE
        elif self._channels and compact.startswith("to="):
            self._state = "header"
        return True

    def _go_on(self, *, at_end: bool) -> list[Segment]:
        segments: list[Segment] = []
        while self.stop is None and (found := self._find_mark(at_end=at_end)):
            at, mark = found
            before = self._take(at)
            self._take(len(mark))
            segments += self._pass(before, mark)
        if self.stop is None:
            ready = self._take(len(self._held) - self._length_to_hold())
            if self._state in ("call", "header"):
                self._body += ready
            else:
                segments += self._give(ready)
        return segments

    def _marks(self) -> tuple[str, ...]:
        """The marks that may come next."""
        channels = self._channels
        if self._state == "header":
            return (channels.message, *channels.ends) if channels else ()
        if self._state == "call":
            return (*self._opening.ends, *(channels.ends + channels.opens if channels else ()))
        headers = channels.opens + channels.ends if channels else ()
        if self._state == "thought":
            return (*((self._thought.end,) if self._thought else ()), *headers, *self._hidden)
        starts = (self._thought.start,) if self._thought and not channels else ()
        strays = self._ends if self._after_call else ()
        return (*starts, *self._openings, *headers, *self._hidden, *strays, *self._stops)

    def _find_mark(self, *, at_end: bool) -> tuple[int, str] | None:
        """Find the next mark; None where there is none, or it may still become a longer one."""
        marks = self._marks()
        found = [(at, -len(mark), mark) for mark in marks if mark and (at := self._held.find(mark)) >= 0]
        if not found:
            return None
        at, _, mark = min(found)
        if not at_end and len(self._held) - self._length_to_hold() <= at:
            return None
        return at, mark

    def _pass(self, before: str, mark: str) -> list[Segment]:
        if self._state == "call":
            return self._pass_in_call(before, mark)
        if self._state == "header":
            self._body += before
            return self._pass_header(mark)
        if self._after_call and before.strip() and mark in self._ends and mark not in self._hidden:
            return self._give(before + mark)  # of a text that speaks of it
        segments = self._give(before)
        channels = self._channels
        if channels and mark in channels.opens:
            self._state, self._body = "header", ""
        elif channels and mark in channels.ends:
            self._state, self._trim_next = "text", True
        elif self._state == "thought":
            if self._thought and mark == self._thought.end:
                self._state, self._trim_next = "text", True
        elif self._thought and mark == self._thought.start:
            self._state, self._trim_next = "thought", True
        elif mark in self._openings:
            self._state, self._opening = "call", self._openings[mark]
            self._body = mark if self._opening.keeps else ""
        elif mark in self._stops:
            self.stop = mark
        return segments

    def _pass_header(self, mark: str) -> list[Segment]:
        channels = self._channels
        assert channels
        if mark != channels.message:
            self._state = "text"
            return []
        kind = channels.kind_of(self._body)
        if kind == "call":
            self._state, self._opening = "call", _BARE
            self._body += mark
        else:
            self._state, self._body, self._trim_next = kind, "", True
        return []

    def _pass_in_call(self, before: str, mark: str) -> list[Segment]:
        assert self._form
        body = self._body + before
        if self._form.calls.is_open(body):
            self._body = body + mark
            return []
        return self._end_call(mark, body)

    def _end_call(self, mark: str, body: str) -> list[Segment]:
        opening, self._body = self._opening, ""
        self._state, self._trim_next = "text", True
        self._after_call = True
        channels = self._channels
        if channels and mark in channels.opens:
            self._state = "header"
        if channels and opening is _BARE:
            shown = body.rpartition(channels.message)[2]
        elif opening.keeps:
            body = shown = body + mark
        else:
            shown = opening.mark + body + mark
        return [Segment("call", body, shown)] if body.strip() else []

    def _give(self, text: str) -> list[Segment]:
        if self._trim_next:
            text = text.lstrip("\n")
            self._trim_next = not text
        self._after_call = self._after_call and not text.strip()
        kind: Kind = "thought" if self._state == "thought" else "text"
        return [Segment(kind, text)] if text else []

    def _take(self, count: int) -> str:
        taken, self._held = self._held[:count], self._held[count:]
        self.consumed += count
        return taken

    def _length_to_hold(self) -> int:
        """Length of the longest end of the text that a mark may begin with."""
        return max((overlap(self._held, mark) for mark in self._marks()), default=0)

"""The terms of a family's format: its marks, its messages' headers, and how its calls are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["text", "thought", "call"]
Tools = Mapping[str, Mapping[str, Any]]  # an offered tool's name: the JSON Schema of its arguments

# Control tokens by their shape; marks like <tool_call> and <think> are words that a text may hold.
_CONTROL = re.compile(r"</?[|｜].*|.*[|｜]>|\[/?[A-Z_]+\]|</?(start|end)_(of_turn|function_call)>", re.DOTALL)


@dataclass(frozen=True)
class Marks:
    """A pair of texts that enclose something in an answer."""

    start: str
    end: str


@dataclass(frozen=True)
class RawCall:
    """A call as a model wrote it, whether of an offered tool or not."""

    name: str
    arguments: dict[str, Any]
    source: str  # its text
    id: str = ""  # "" where the model gives none


@dataclass(frozen=True)
class Reading:
    """The text between the marks."""

    calls: tuple[RawCall, ...]
    rest: str = ""  # text after the last call


@dataclass(frozen=True)
class Opening:
    """A mark that begins calls."""

    mark: str
    ends: tuple[str, ...] = ()  # marks that end them; empty: the end of the answer does
    keeps: bool = False  # the marks are part of the call's own text


Read = Callable[[str, Tools], Reading]
IsOpen = Callable[[str], bool]


def _nothing(_tools: Tools) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class CallFormat:
    """One way of writing calls."""

    title: str  # for people
    openings: tuple[Opening, ...]
    read: Read  # raises ValueError for what is no whole call
    is_open: IsOpen  # whether an end mark after this text lies within a value
    # How a constrained answer writes a call: before its name, between name and arguments, after them.
    written: tuple[str, str, str]
    bare_name: bool = False  # the name stands there without quotes
    # Texts that an answer begins with that is a call.
    begins_bare: Callable[[Tools], tuple[str, ...]] = _nothing
    short_ids: bool = False  # ids have nine letters or digits
    control: tuple[str, ...] = ()  # texts that are never part of an answer, beside the marks


@dataclass(frozen=True)
class Channels:
    """Messages within one answer, each with a header that says what it is."""

    opens: tuple[str, ...]  # a header begins
    message: str  # a header ends
    ends: tuple[str, ...]  # a message ends
    kind_of: Callable[[str], Kind]
    answer: str = ""  # the header of the answer proper, as a constrained answer writes it


@dataclass(frozen=True)
class Format:
    """The parts of a model's answers that are understood."""

    thought: Marks | None
    calls: CallFormat
    knows_tools: bool = True  # the model's own template tells it of tools
    channels: Channels | None = None

    @property
    def marks(self) -> tuple[str, ...]:
        """Every text that means something; a tokenizer must not leave one out."""
        found = [opening.mark for opening in self.calls.openings]
        found += [end for opening in self.calls.openings for end in opening.ends]
        if self.thought and not self.channels:
            found += [self.thought.start, self.thought.end]
        if self.channels:
            found += [*self.channels.opens, self.channels.message, *self.channels.ends]
        return tuple(dict.fromkeys(mark for mark in (*found, *self.calls.control) if mark))

    @property
    def hidden(self) -> tuple[str, ...]:
        """Marks that never reach a client as text."""
        return tuple(mark for mark in self.marks if mark in self.calls.control or is_control(mark))

    @property
    def of_plain_text(self) -> Format:
        """The format of a text that is only continued: no thoughts, no calls, and still no control tokens."""
        calls = replace(self.calls, openings=(), begins_bare=_nothing, control=self.hidden)
        return Format(None, calls, self.knows_tools)

    def without_control(self, text: str) -> str:
        """Leave out what only a model reads."""
        hidden = sorted(self.hidden, key=len, reverse=True)
        return self.without_cut(re.sub("|".join(map(re.escape, hidden)), "", text)) if hidden else text

    def without_cut(self, text: str) -> str:
        """Leave out a control token that a text's end cuts; one character of it may be the text's own."""
        length = max((overlap(text, mark) for mark in self.hidden), default=0)
        return text[:-length] if length > 1 else text


def is_control(mark: str) -> bool:
    """Return True if a mark looks like a control token, which no text holds."""
    return bool(_CONTROL.fullmatch(mark))


def overlap(text: str, mark: str) -> int:
    """Length of the longest end of a text that a mark may begin with."""
    most = min(len(text), len(mark) - 1)
    return next((length for length in range(most, 0, -1) if text.endswith(mark[:length])), 0)

"""Runs a prepared job and gives out its answer in pieces: text, thoughts, tool calls, and how it ended."""

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from local_ai.engine.core.delivery import Outbox
from local_ai.engine.core.job import Event, Failed, Finished, Progress, Started, Token, TokenLogprob
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.tasks import Lease
from local_ai.engine.core.worker import Worker
from local_ai.engine.text.conversation import (
    Ask,
    Begun,
    CallPiece,
    Ended,
    Piece,
    Reading,
    ReasoningPiece,
    TextPiece,
    Usage,
)
from local_ai.engine.text.output_parser import OutputParser, Segment
from local_ai.engine.text.prompts import Prepared
from local_ai.engine.text.tools import new_id, offered, read_calls, read_forced


async def run(
    worker: Worker,
    prepared: Prepared,
    ask: Ask,
    words: ModelWords,
    on_end: Callable[[Usage], object],
    *,
    lease: Lease | None = None,
) -> AsyncIterator[Piece]:
    """Generate one answer; closing the iterator ends the generation.

    Args:
        lease: Of the model, which ends once its answer waits or is begun.
        on_end: Told the tokens at the end, also of an answer that was closed before its own end.

    Yields:
        `Begun`, any number of pieces, and `Ended` last.

    Raises:
        ApiError: It could not be begun or finished.
    """
    loop = asyncio.get_running_loop()
    post = _posts.setdefault(loop, _Post(loop))
    box = _Box()
    reader = _Reader(prepared, ask, words)
    outbox = Outbox(partial(post.drop, box), post.deliver_soon)
    give_up = worker.ask(prepared.job, outbox, lease=lease)
    try:
        while True:
            for piece in reader.read_all(await box.take()):
                yield piece
                if isinstance(piece, Ended):
                    return
    finally:
        give_up()
        on_end(reader.usage())


class _Box:
    """One answer's events, delivered and not yet taken."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._news = asyncio.Event()

    def put(self, events: Iterable[Event]) -> None:
        self._events += events
        self._news.set()

    async def take(self) -> list[Event]:
        """Take all that are there, in order; wait where there is none."""
        await self._news.wait()
        self._news.clear()
        events, self._events = self._events, []
        return events


class _Post:
    """Events on their way to one event loop, which is woken once for all that a step has sent.

    Waking it for each would have both threads take turns at the interpreter's lock, token by token.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._dropped: deque[tuple[_Box, Iterable[Event]]] = deque()

    def drop(self, box: _Box, events: Iterable[Event]) -> None:
        """Leave events for a box; on any thread."""
        self._dropped.append((box, events))

    def deliver_soon(self) -> None:
        """Have the loop put what was dropped into its boxes; on any thread."""
        if loop := self._loop():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and has no listeners
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._dropped:
            box, events = self._dropped.popleft()
            box.put(events)


_posts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Post] = weakref.WeakKeyDictionary()


# Where the token begins, the chosen, the likeliest.
_Pending = tuple[int, TokenLogprob, tuple[TokenLogprob, ...]]


def _text_piece(text: str, tokens: list[_Pending]) -> TextPiece:
    if not tokens:
        return TextPiece(text)
    chances = tuple((chosen, likeliest) for _, chosen, likeliest in tokens)
    return TextPiece(text, chances, tuple(at for at, _, _ in tokens))


def _joined(one: Piece, other: Piece) -> Piece | None:
    """Join two pieces of text or of a thought; None where they are no such two."""
    if isinstance(one, TextPiece) and isinstance(other, TextPiece):
        return TextPiece(one.text + other.text, one.chances + other.chances, one.offsets + other.offsets)
    if isinstance(one, ReasoningPiece) and isinstance(other, ReasoningPiece):
        return ReasoningPiece(one.text + other.text)
    return None


class _Reader:
    """Reads one answer's events."""

    def __init__(self, prepared: Prepared, ask: Ask, words: ModelWords) -> None:
        self._prepared = prepared
        self._ask = ask
        self._words = words
        may_call = bool(ask.tools) and ask.tool_choice.kind == "auto"
        self._tools = offered(ask.tools) if may_call else {}
        self._splitter = OutputParser(
            words.format if ask.prompt is None else words.format.of_plain_text,
            tools=self._tools,
            stops=() if prepared.forced_call else ask.limits.stops,
            in_thought=prepared.job.in_thought,
        )
        self._cached = self._tokens = self._thought_tokens = 0
        self._calls: set[str] = set()  # the ids of those made
        self._seen = 0  # characters of text so far
        self._forced = ""
        self._pending: list[_Pending] = []

    def read_all(self, events: Sequence[Event]) -> Iterator[Piece]:
        """Read events that came together; neighbouring text is given out as one piece.

        Raises:
            ApiError: The answer cannot be completed.
        """
        pieces: list[Piece] = []
        for event in events:
            if isinstance(event, Failed):
                yield from pieces
                raise event.error
            for piece in self.read(event):
                if pieces and (both := _joined(pieces[-1], piece)):
                    pieces[-1] = both
                else:
                    pieces.append(piece)
            if pieces and isinstance(pieces[-1], Ended):
                break
        yield from pieces

    def read(self, event: Started | Progress | Token | Finished) -> list[Piece]:
        if isinstance(event, Token):
            self._tokens += 1
            self._thought_tokens += self._splitter.kind == "thought"
            if event.chosen:
                self._pending.append((self._begins(event.text, event.chosen), event.chosen, event.likeliest))
        elif isinstance(event, Started):
            self._cached = event.cached
            return [Begun(self.usage(), event.miss)]
        elif isinstance(event, Progress):
            return [Reading(event.done, event.total)]
        return self._read_text(event)

    def _begins(self, text: str, chosen: TokenLogprob) -> int:
        """Find where in the whole text a token begins that has brought so much text.

        Where tokens before it have left a character unfinished, its replacement comes with this one's text.
        """
        is_behind = text.startswith("\ufffd") and text.endswith(chosen.text) and "\ufffd" not in chosen.text
        return self._seen + (len(text) - len(chosen.text) if is_behind else 0)

    def _read_text(self, event: Token | Finished) -> list[Piece]:
        self._seen += len(event.text)
        segments = self._splitter.feed(event.text)
        if isinstance(event, Finished):
            segments += self._splitter.finish()
        pieces = self._pieces(segments)
        if self._splitter.stop is not None:
            return [*pieces, Ended("stop_string", self.usage(), self._splitter.stop)]
        if self._calls and not self._ask.tool_choice.parallel:
            return [*pieces, Ended("tool_calls", self.usage())]
        if isinstance(event, Finished):
            if self._pending and self._splitter.kind == "text":  # tokens of an unfinished character
                pieces.append(_text_piece("", self._pending))
            return [*pieces, *self._end(event.reason)]
        return pieces

    def _pieces(self, segments: list[Segment]) -> list[Piece]:
        pieces: list[Piece] = []
        for segment in segments:
            if segment.kind == "thought":
                pieces.append(ReasoningPiece(segment.text))
            elif segment.kind == "call":
                pieces += self._read_calls(segment)
            elif self._prepared.forced_call:
                self._forced += segment.text
            else:
                pieces.append(_text_piece(segment.text, self._release()))
        if self._splitter.kind != "text" and not any(segment.kind == "text" for segment in segments):
            self._release()  # these tokens are of no text
        return pieces

    def _read_calls(self, segment: Segment) -> list[Piece]:
        pieces: list[Piece] = []
        for found in read_calls(segment.text, segment.shown, self._words.format, self._tools):
            if isinstance(found, str):
                pieces += [TextPiece(found)] if found else []
            elif self._ask.tool_choice.parallel or not self._calls:
                call = replace(found, id=new_id()) if found.id in self._calls else found
                self._calls.add(call.id)
                pieces.append(CallPiece(call))
        return pieces

    def _end(self, reason: str) -> list[Piece]:
        pieces: list[Piece] = []
        if self._prepared.forced_call:
            calls = read_forced(self._forced)
            self._calls |= {call.id for call in calls}
            pieces = [CallPiece(call) for call in calls]
        if reason == "length":
            return [*pieces, Ended("length", self.usage())]
        return [*pieces, Ended("tool_calls" if self._calls else "stop", self.usage())]

    def _release(self) -> list[_Pending]:
        """Take the tokens that begin in the text given out."""
        if not self._pending:
            return []
        consumed = self._splitter.consumed
        ready = [entry for entry in self._pending if entry[0] < consumed]
        self._pending = [entry for entry in self._pending if entry[0] >= consumed]
        return ready

    def usage(self) -> Usage:
        """Return the tokens so far."""
        return Usage(len(self._prepared.job.prompt), self._cached, self._tokens, self._thought_tokens)

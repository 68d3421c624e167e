"""A peer's answer, judged before any of it reaches a client: errors, streams, and its key. Pure."""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from local_ai.gateway.peers.client import AnswerTooLong
from local_ai.printable import printable
from local_ai.serving.dialects import Dialect
from local_ai.serving.framing import LINES
from local_ai.serving.sse import to_json

_STRUCK = "***"
_MOST_SAID = 200  # characters of a peer's own words
_MOST_EVENT_BYTES = 8 * 1024 * 1024  # held until its end has come
# Names that every error has; a key that is spelt so is no secret.
_FIELDS = {"error", "message", "type", "code", "param", "detail"}
_BETWEEN_EVENTS = re.compile(rb"\r?\n\r?\n")
# Source: the dialects' pages on streaming; chat completions end with "[DONE]".
_LAST_TYPES = {
    Dialect.ANTHROPIC: {"message_stop"},
    Dialect.RESPONSES: {"response.completed", "response.incomplete", "response.failed"},
}


@dataclass(frozen=True)
class WholeAnswer:
    """An answer that is given at once."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_error(dialect: Dialect, body: bytes) -> bool:
    """Return True if a body is an error as the dialect's clients read it."""
    error = _object(body).get("error")
    return isinstance(error, str if dialect is Dialect.OLLAMA else dict) and bool(error)


def said_in(body: bytes, media_type: str) -> str:
    """Return the words of an error of any shape, ready to be shown; "" for a page, or where it has none."""
    value = _object(body)
    error = value.get("error")
    found = [error.get("message")] if isinstance(error, dict) else [error]
    found += [value.get("message"), value.get("detail")]
    if not value and media_type == "text/plain":
        found.append(body[: 4 * _MOST_SAID].decode("utf-8", "replace").strip())
    words = next((each for each in found if isinstance(each, str) and each), "")
    return printable(words[:_MOST_SAID])


def strike(body: bytes, key: str | None) -> bytes:
    """Strike a peer's key out of what it says, however JSON escapes it."""
    if key is None:
        return body
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        return body.replace(key.encode(), _STRUCK.encode())
    clean = _without(value, key)
    return body if clean == value else to_json(clean)


class PeerEvents:
    """The events of a peer's stream, whole ones alone, until the one that ends it."""

    def __init__(self, dialect: Dialect, key: str | None) -> None:
        self._dialect = dialect
        self._key = key
        self._rest = b""
        self._last = b""  # the last event but comments
        self._end_of_last: Callable[[bytes], int] = (
            _end_of_line if dialect.framing is LINES else _end_of_event
        )

    def feed(self, chunk: bytes) -> bytes:
        """Return the events that are whole now, "" if none is.

        Raises:
            AnswerTooLong: One event is longer than is held.
        """
        held = self._rest + chunk
        end = self._end_of_last(held)
        events, self._rest = held[:end], held[end:]
        if len(self._rest) > _MOST_EVENT_BYTES:
            raise AnswerTooLong(_MOST_EVENT_BYTES)
        if events:
            self._last = self._last_of(events) or self._last
        # An error's event alone: elsewhere a short key may be a word of the answer.
        return self._struck(events) if self._key is not None and b'"error"' in events else events

    @property
    def have_ended(self) -> bool:
        """True if the last event is one that the dialect ends a stream with, or an error."""
        return self._is_end(self._last) or self._is_end(self._rest)

    def rest(self) -> bytes:
        """Return an end that no empty line follows."""
        return self._struck(self._rest) if self._is_end(self._rest) else b""

    def _last_of(self, events: bytes) -> bytes:
        while events := events.rstrip(b"\r\n "):
            before = self._end_of_last(events)
            if not (last := events[before:]).startswith((b":", b"event: ping")):
                return last
            events = events[:before]
        return b""

    def _is_end(self, event: bytes) -> bool:
        data = self._data(event)
        if data == b"[DONE]":
            return self._dialect in (Dialect.OPENAI, Dialect.RESPONSES)
        value = _object(data)
        is_last = value.get("type") in _LAST_TYPES.get(self._dialect, ())
        return is_last or (self._dialect is Dialect.OLLAMA and value.get("done") is True) or _fails(value)

    def _data(self, event: bytes) -> bytes:
        if self._dialect.framing is LINES:
            return event.strip()
        lines = (line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
        return b"\n".join(lines)

    def _struck(self, events: bytes) -> bytes:
        if self._dialect.framing is LINES:
            parts = events.splitlines(keepends=True)
        else:
            ends = [0, *(found.end() for found in _BETWEEN_EVENTS.finditer(events)), len(events)]
            parts = [events[begin:end] for begin, end in itertools.pairwise(ends)]
        return b"".join(self._struck_event(part) for part in parts)

    def _struck_event(self, event: bytes) -> bytes:
        data = self._data(event)
        if not _fails(_object(data)) or (clean := strike(data, self._key)) == data:
            return event
        if self._dialect.framing is LINES:
            return clean + b"\n"
        named = next((line for line in event.splitlines() if line.startswith(b"event:")), b"")
        return (named + b"\n" if named else b"") + b"data: " + clean + b"\n\n"


def _end_of_line(text: bytes) -> int:
    return text.rfind(b"\n") + 1


def _end_of_event(text: bytes) -> int:
    plain, other = text.rfind(b"\n\n"), text.rfind(b"\n\r\n")
    return max(plain + 2 if plain >= 0 else 0, other + 3 if other >= 0 else 0)


def _fails(value: dict[str, Any]) -> bool:
    return bool(value.get("error")) or value.get("type") in ("error", "response.failed")


def _object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; an empty one where it is anything else."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _without(value: Any, key: str) -> Any:
    match value:
        case str():
            return value.replace(key, _STRUCK)
        case list():
            return [_without(each, key) for each in value]
        case dict():
            return {
                name if name in _FIELDS else name.replace(key, _STRUCK): _without(inner, key)
                for name, inner in value.items()
            }
    return value

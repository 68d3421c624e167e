"""Gemma's calls: `call:name{key:<|"|>text<|"|>,list:[1,2]}`, texts between quotes of their own."""

import re
from typing import Any

from local_ai.engine.formats.format import IsOpen, RawCall, Read, Reading, Tools
from local_ai.engine.formats.json_calls import json_reader, whole
from local_ai.engine.formats.values import decode_json, parse_value, skip_space

_HEAD = re.compile(r"[\s,;]*call:(?P<name>[^\s{]+)\s*(?=\{)")
_BARE = re.compile(r"[^,\[\]{}]*")


def gemma_reader(quote: str) -> Read:
    """Make a reader for texts between `quote`s."""

    def read(body: str, tools: Tools) -> Reading:
        if body.lstrip()[:1] in ("{", "["):
            return json_reader()(body, tools)
        calls: list[RawCall] = []
        at = 0
        while head := _HEAD.match(body, at):
            value, end = _Scanner(body, quote).value(head.end())
            calls.append(RawCall(head["name"], value, body[head.start("name") : end]))
            at = end
        return whole(calls, body[at:])

    return read


def gemma_is_open(quote: str) -> IsOpen:
    """Make what tells whether a call, as far as it came, ends within a text."""
    return lambda body: body.count(quote) % 2 == 1


class _Scanner:
    def __init__(self, text: str, quote: str) -> None:
        self._text = text
        self._quote = quote

    def value(self, at: int) -> tuple[Any, int]:
        """Read the value that begins here; return it and where it ends."""
        at = skip_space(self._text, at)
        if self._text.startswith(self._quote, at):
            return self._string(at)
        if self._text.startswith('"', at):
            return decode_json(self._text, at)
        if self._text.startswith("{", at):
            return self._object(at + 1)
        if self._text.startswith("[", at):
            return self._list(at + 1)
        bare = _BARE.match(self._text, at)
        word = bare[0].strip() if bare else ""
        end = bare.end() if bare else at
        try:
            return parse_value(word), end
        except ValueError:
            return word, end

    def _string(self, at: int) -> tuple[str, int]:
        start = at + len(self._quote)
        end = self._text.find(self._quote, start)
        if end < 0:
            raise ValueError("an unfinished text")
        return self._text[start:end], end + len(self._quote)

    def _object(self, at: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        while not self._text.startswith("}", at := skip_space(self._text, at)):
            if self._text.startswith((self._quote, '"'), at):
                key, at = self.value(at)
                at = self._text.find(":", at)
            else:
                colon = self._text.find(":", at)
                key, at = self._text[at:colon].strip(), colon
            if at < 0:
                raise ValueError("an unfinished object")
            found[str(key)], at = self.value(at + 1)
            at = self._next(at, "}")
        return found, at + 1

    def _list(self, at: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        while not self._text.startswith("]", at := skip_space(self._text, at)):
            value, at = self.value(at)
            found.append(value)
            at = self._next(at, "]")
        return found, at + 1

    def _next(self, at: int, end: str) -> int:
        at = skip_space(self._text, at)
        if self._text.startswith(",", at):
            return at + 1
        if not self._text.startswith(end, at):
            raise ValueError("an unfinished value")
        return at

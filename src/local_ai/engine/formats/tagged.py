"""Calls with a tag around each argument: Qwen3-Coder's, GLM's, MiniMax', DeepSeek's newer ones."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

from local_ai.engine.formats.format import RawCall, Reading, Tools
from local_ai.engine.formats.json_calls import json_reader, whole
from local_ai.engine.formats.values import convert, decode_json, ends_in_string, parse_value, skip_space

_CDATA = re.compile(r"\s*<!\[CDATA\[(.*?)\]\]>\s*", re.DOTALL)


@dataclass(frozen=True)
class Tags:
    """The tags of one family."""

    call: re.Pattern[str]  # what begins a call; group "name"
    call_end: str  # "" where nothing ends one
    argument: re.Pattern[str]  # what begins an argument; groups "name", and "type" where its tag says one
    argument_end: str
    guesses: bool = False  # the value of an argument without a declared type is read as JSON
    trims: bool = True  # a line break next to a tag is not part of the value
    block: re.Pattern[str] | None = None  # what begins all arguments as one JSON object

    def read(self, body: str, tools: Tools) -> Reading:
        """Read every call in a text."""
        if body.lstrip()[:1] in ("{", "["):
            return json_reader()(body, tools)
        calls: list[RawCall] = []
        at = 0
        while head := self.call.search(body, at):
            name = unescape(head["name"])
            arguments, at = _read_arguments(body, head.end(), self, tools.get(name, {}))
            at = max(at, _past_call(body, at, self))
            calls.append(RawCall(name, arguments, body[head.start() : at]))
        return whole(calls, body[at:] if self.call_end else "")

    def is_open(self, body: str) -> bool:
        """Return True if a call, as far as it came, ends within a value."""
        head = self.argument.search(body)
        if head is None:
            return not self.call.search(body) and ends_in_string(body)
        while head:
            end = _own_end(body, head.end(), self)
            if end is None:
                return True
            head = self.argument.search(body, end + len(self.argument_end))
        return False


def _read_arguments(body: str, at: int, tags: Tags, schema: Any) -> tuple[dict[str, Any], int]:
    at = skip_space(body, at)
    if body.startswith("{", at) or (tags.block and (block := tags.block.match(body, at))):
        value, end = decode_json(body, at if body.startswith("{", at) else block.end())  # type: ignore[union-attr]
        if not isinstance(value, dict):
            raise ValueError("the arguments are not an object")
        return value, end
    declared = schema.get("properties")
    declared = declared if isinstance(declared, dict) else {}
    arguments: dict[str, Any] = {}
    while head := tags.argument.match(body, skip_space(body, at)):
        end, at = _end_of_value(body, head.end(), tags)
        name = unescape(head["name"])
        arguments[name] = _value(body[head.end() : end], head, tags, declared.get(name), schema)
    return arguments, at


def _end_of_value(body: str, start: int, tags: Tags) -> tuple[int, int]:
    """Find where a value ends, and what follows its end tag."""
    if (end := _own_end(body, start, tags)) is not None:
        return end, end + len(tags.argument_end)
    # Left out by the model: the next argument, or the call's end, ends it.
    upcoming = tags.argument.search(body, start)
    found = [upcoming.start()] if upcoming else []
    found += [at for at in (body.find(tags.call_end, start) if tags.call_end else -1,) if at >= 0]
    if not found:
        raise ValueError("an unfinished value")
    return min(found), min(found)


def _own_end(body: str, start: int, tags: Tags) -> int | None:
    """Find the end tag of a value that begins here; None where it is not there yet.

    A value may hold the tag itself: its own is followed by an argument, the call's end, or nothing.
    """
    cdata = body.find("]]>", start) if _CDATA.match(body, start) else -1
    end = body.find(tags.argument_end, max(start, cdata))
    while end >= 0:
        after = end + len(tags.argument_end)
        rest = skip_space(body, after)
        ends = rest == len(body) or (tags.call_end and body.startswith(tags.call_end, rest))
        if ends or tags.argument.match(body, rest):
            return end
        end = body.find(tags.argument_end, after)
    return None


def _value(text: str, head: re.Match[str], tags: Tags, schema: Any, root: Any) -> Any:
    if found := _CDATA.fullmatch(text):
        text = found[1]
    elif tags.trims:
        text = text.removeprefix("\n").removesuffix("\n")
    stated = head.groupdict().get("type")
    if stated in ("true", "string"):
        return text
    if stated is not None:
        try:
            return parse_value(text)
        except ValueError:
            return text
    return convert(text, schema, root, guesses=tags.guesses)


def _past_call(text: str, at: int, tags: Tags) -> int:
    """Find what follows a call's end tag; -1 where the next call begins before."""
    end = text.find(tags.call_end, at) if tags.call_end else -1
    upcoming = tags.call.search(text, at)
    return -1 if end < 0 or (upcoming and upcoming.start() < end) else end + len(tags.call_end)

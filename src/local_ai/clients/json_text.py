"""Change one member of a JSON text and keep every other byte; reads `//` comments and trailing commas too."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_GAP = re.compile(r"(?:[ \t\r\n]|//[^\n]*)*")
_SCALAR = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')


@dataclass(frozen=True)
class Member:
    """A member of an object, or an item of an array, whose name is ""."""

    name: str
    start: int  # of its name, or of an item's value
    value: Value


@dataclass(frozen=True)
class Value:
    """The place of a value in its text."""

    start: int
    end: int
    kind: str  # its first character: "{" of an object, "[" of an array
    members: tuple[Member, ...] = ()

    def find(self, name: str) -> Member | None:
        """Find a member; of several with one name the last, as JSON readers do."""
        return next((each for each in reversed(self.members) if each.name == name), None)


def parse(text: str) -> Value:
    """Find where each value stands.

    Raises:
        ValueError: The text is no JSON.
    """
    value = _value(text, _gap(text, 0))
    if (end := _gap(text, value.end)) != len(text):
        raise _unexpected(text, end)
    return value


def plain(text: str, value: Value) -> object:
    """Return a value as Python has it."""
    if value.kind == "{":
        return {each.name: plain(text, each.value) for each in value.members}
    if value.kind == "[":
        return [plain(text, each.value) for each in value.members]
    return json.loads(text[value.start : value.end])


def member_at(text: str, *path: str) -> object:
    """Return the member that these names lead to, as Python has it; None where there is none."""
    value = parse(text)
    for name in path:
        member = value.find(name)
        if member is None:
            return None
        value = member.value
    return plain(text, value)


def with_member(text: str, path: tuple[str, ...], content: object) -> str:
    """Return the text with the member that these names lead to; objects on the way are made.

    A new member comes first in its object, so that what follows it stays as it is, comments and commas too.

    Raises:
        ValueError: The text is no JSON, or what is on the way is no object.
    """
    if member_at(text, *path) == content:
        return text
    value, depth = parse(text), 0
    for depth, name in enumerate(path):
        if value.kind != "{":
            raise ValueError(f"{'.'.join(path[:depth]) or 'the whole'} is no object")
        member = value.find(name)
        if member is None:
            break
        value = member.value
    else:
        return text[: value.start] + _dumped(text, content, len(path)) + text[value.end :]
    for name in reversed(path[depth + 1 :]):
        content = {name: content}
    newline, unit = _style(text)
    inside = newline + unit * (depth + 1)
    written = f"{json.dumps(path[depth])}: {_dumped(text, content, depth + 1)}"
    rest = text[value.start + 1 :]
    if value.members:
        written += ","
        is_first_on_a_line = "\n" in text[value.start : value.members[0].start]
        rest = rest if is_first_on_a_line else inside + rest.lstrip(" ")
    elif "\n" not in text[value.start : value.end]:
        rest = newline + unit * depth + rest.lstrip(" ")
    return text[: value.start + 1] + inside + written + rest


def without_member(text: str, path: tuple[str, ...]) -> str:
    """Return the text without the member that these names lead to; as it is where there is none.

    Raises:
        ValueError: The text is no JSON.
    """
    holder = parse(text)
    for name in path[:-1]:
        member = holder.find(name)
        if member is None:
            return text
        holder = member.value
    member = holder.find(path[-1])
    if member is None:
        return text
    start = len(text[: member.start].rstrip(" \t\r\n"))
    after = _gap(text, member.value.end)
    if text[after] == ",":
        return text[:start] + text[after + 1 :]
    end = member.value.end
    index = holder.members.index(member)
    if index:
        comma = text.index(",", _gap(text, holder.members[index - 1].value.end))
        return text[:comma] + text[comma + 1 : start] + text[end:]
    return text[:start] + (text[end:].lstrip() if text[start - 1] == "{" else text[end:])


def _value(text: str, at: int) -> Value:
    kind = text[at : at + 1]
    if kind in {"{", "["}:
        return _container(text, at, kind)
    if found := _SCALAR.match(text, at):
        return Value(at, found.end(), kind)
    raise _unexpected(text, at)


def _container(text: str, start: int, kind: str) -> Value:
    end, members = "}" if kind == "{" else "]", list[Member]()
    at = _gap(text, start + 1)
    while text[at : at + 1] != end:
        name, begun = "", at
        if kind == "{":
            found = _SCALAR.match(text, at)
            if found is None or text[at] != '"':
                raise _unexpected(text, at)
            name = json.loads(found[0])
            at = _gap(text, found.end())
            if text[at : at + 1] != ":":
                raise _unexpected(text, at)
            at = _gap(text, at + 1)
        value = _value(text, at)
        members.append(Member(name, begun, value))
        at = _gap(text, value.end)
        if text[at : at + 1] == ",":
            at = _gap(text, at + 1)
        elif text[at : at + 1] != end:
            raise _unexpected(text, at)
    return Value(start, at + 1, kind, tuple(members))


def _gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return found.end() if found else at


def _dumped(text: str, content: object, depth: int) -> str:
    newline, unit = _style(text)
    lines = json.dumps(content, indent=unit, ensure_ascii=False).split("\n")
    return (newline + unit * depth).join(lines)


def _style(text: str) -> tuple[str, str]:
    """Return how the text ends lines, and how it indents."""
    found = re.search(r"\n([ \t]+)\S", text)
    return "\r\n" if "\r\n" in text else "\n", found[1] if found else "  "


def _unexpected(text: str, at: int) -> ValueError:
    line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    seen = repr(text[at]) if at < len(text) else "the end"
    return ValueError(f"line {line}, column {column}: {seen} is not expected there")

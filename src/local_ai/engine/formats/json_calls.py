"""Calls whose arguments are JSON: Hermes', Llama's, Mistral's, DeepSeek's, Kimi's, gpt-oss'."""

import re
from collections.abc import Callable
from typing import Any

from local_ai.engine.formats.format import RawCall, Read, Reading, Tools
from local_ai.engine.formats.values import decode_json, parse_value

_NAMES = ("name", "function", "tool_name", "tool")
_ARGUMENTS = ("arguments", "parameters", "args")
_BETWEEN = re.compile(r"[\s,;]*")
_RECIPIENT = re.compile(r"\bto=(?P<name>[^\s<]+)")


def json_reader(*marks: str) -> Read:
    """Make a reader of one JSON object, a list, or several one after another with any of `marks` between."""
    return lambda body, _tools: _read_all(body, marks, _read_objects)


def _read_all(
    body: str, marks: tuple[str, ...], read: Callable[[str, int], tuple[list[RawCall], int]]
) -> Reading:
    """Read calls one after another, up to what is none; the first must be one."""
    calls: list[RawCall] = []
    at = _skip(body, 0, marks)
    while at < len(body):
        try:
            found, end = read(body, at)
        except ValueError:
            if calls:
                break
            raise
        calls += found
        at = _skip(body, end, marks)
    return whole(calls, body[at:])


def whole(calls: list[RawCall], rest: str = "") -> Reading:
    """Make the reading of at least one call; ValueError where there is none."""
    if not calls:
        raise ValueError("no call")
    return Reading(tuple(calls), rest if rest.strip("}]) \r\n\t") else "")


def read_mistral(body: str, tools: Tools) -> Reading:
    """Read `name[ARGS]{…}`, `name[CALL_ID]id[ARGS]{…}`, `name{…}`, or the older list of objects."""
    return _read_all(body, ("[TOOL_CALLS]",), _read_mistral_calls)


def _read_mistral_calls(body: str, at: int) -> tuple[list[RawCall], int]:
    if body[at] in "[{":
        return _read_objects(body, at)
    head = re.compile(r"(?P<name>[^\s\[{]+)\s*(?:\[CALL_ID\](?P<id>[^\[{]*))?(?:\[ARGS\])?\s*(?=\{)").match(
        body, at
    )
    if head is None:
        raise ValueError("no call")
    arguments, end = decode_json(body, head.end())
    return [RawCall(head["name"], _object(arguments), body[at:end], (head["id"] or "").strip())], end


def read_deepseek(body: str, tools: Tools) -> Reading:
    """Read V3's `function<｜tool▁sep｜>name` with a fenced block, and V3.1's `name<｜tool▁sep｜>{…}`."""
    calls = []
    for part in body.split("<｜tool▁call▁begin｜>"):
        head, separator, rest = part.partition("<｜tool▁sep｜>")
        if not separator:
            continue
        name = head.strip()
        if name == "function":
            name, _, rest = rest.partition("\n")
        arguments, _ = decode_json(rest, max(rest.find("{"), 0))
        calls.append(RawCall(name.strip(), _object(arguments), part))
    return whole(calls) if calls else json_reader()(body, tools)


def read_kimi(body: str, tools: Tools) -> Reading:
    """Read `functions.name:0<|tool_call_argument_begin|>{…}`."""
    calls = []
    for part in body.split("<|tool_call_begin|>"):
        head, separator, rest = part.partition("<|tool_call_argument_begin|>")
        if not separator:
            continue
        arguments, _ = decode_json(rest)
        name = re.sub(r":\d+$", "", head.strip())
        name = name if name in tools else name.removeprefix("functions.")
        calls.append(RawCall(name, _object(arguments), part, head.strip()))
    return whole(calls) if calls else json_reader()(body, tools)


def read_harmony(body: str, tools: Tools) -> Reading:
    """Read a message to a tool: `commentary to=functions.name <|constrain|>json<|message|>{…}`."""
    head, separator, rest = body.partition("<|message|>")
    recipient = _RECIPIENT.search(head)
    if not separator or recipient is None:
        raise ValueError("no call")
    name = recipient["name"]
    name = name if name in tools else name.removeprefix("functions.")
    arguments, end = decode_json(rest) if rest.strip() else ({}, len(rest))
    return whole([RawCall(name, _object(arguments), rest)], rest[end:])


def read_llama(body: str, tools: Tools) -> Reading:
    """Read JSON objects, or calls as Python writes them: `[name(key="value")]`, `name.call(key="value")`."""
    from local_ai.engine.formats.pythonic import read_pythonic

    try:
        return json_reader()(body, tools)
    except ValueError:
        reading = read_pythonic(body, tools)
    calls = [
        RawCall(
            call.name if call.name in tools else call.name.removesuffix(".call"), call.arguments, call.source
        )
        for call in reading.calls
    ]
    return Reading(tuple(calls), reading.rest)


def _skip(text: str, at: int, marks: tuple[str, ...]) -> int:
    while True:
        before = at
        found = _BETWEEN.match(text, at)
        at = found.end() if found else at
        at += next((len(mark) for mark in marks if text.startswith(mark, at)), 0)
        if at == before:
            return at


def _read_objects(body: str, at: int) -> tuple[list[RawCall], int]:
    """Read one object or a list of them; one that Python would write so is understood, too."""
    try:
        value, end = decode_json(body, at)
    except ValueError:
        value, end = parse_value(body[at:]), len(body)
    items = value if isinstance(value, list) else [value]
    return [_call_of(item, body[at:end]) for item in items], end


def _call_of(item: Any, source: str) -> RawCall:
    if not isinstance(item, dict):
        raise ValueError("no object")
    inner = item["function"] if isinstance(item.get("function"), dict) else item
    name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str)), None)
    arguments = next((inner[key] for key in _ARGUMENTS if key in inner), None)
    if name is None and len(inner) == 1:  # Apertus: {"name": {…}}
        ((name, arguments),) = inner.items()
        if not isinstance(arguments, dict):
            raise ValueError("no call")
    if not name:
        raise ValueError("no name")
    call_id = item.get("id") or item.get("tool_call_id")
    return RawCall(str(name), _object(arguments), source, call_id if isinstance(call_id, str) else "")


def _object(value: Any) -> dict[str, Any]:
    """Read arguments; some models write them as the text of an object."""
    if isinstance(value, str):
        value = parse_value(value) if value.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        # A client passes the call back with the next turn, where templates walk through its arguments.
        raise ValueError("the arguments are not an object")
    return value

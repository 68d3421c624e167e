"""Calls as Python writes them: `[name(key="value"), other-name(n=1)]`."""

import ast
import re
from typing import Any

from local_ai.engine.formats.format import RawCall, Reading, Tools
from local_ai.engine.formats.json_calls import json_reader, whole
from local_ai.engine.formats.values import literal

_NAME = re.compile(r"[\s\[,;]*(?P<name>[\w.\-/:]+)\s*\(")  # wider than Python's: tools have dashes and dots
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


def read_pythonic(body: str, tools: Tools) -> Reading:
    """Read every call, in a list or one a line; positional arguments take the schema's order."""
    if body.lstrip()[:2] in ("[{", "{\n", '{"'):
        return json_reader()(body, tools)
    calls: list[RawCall] = []
    at = 0
    while head := _NAME.match(body, at):
        end = _end_of_arguments(body, head.end())
        arguments = _arguments(body[head.end() : end - 1], tools.get(head["name"], {}))
        calls.append(RawCall(head["name"], arguments, body[head.start("name") : end]))
        at = end
    return whole(calls, body[at:])


def is_open(body: str) -> bool:
    """Return True if a call, as far as it came, ends within a string."""
    rest = _STRING.sub("", body)
    return "'" in rest or '"' in rest


def _end_of_arguments(text: str, at: int) -> int:
    depth = 1
    while at < len(text):
        if text[at] in "'\"":
            string = _STRING.match(text, at)
            if string is None:
                break
            at = string.end()
            continue
        depth += (text[at] in "([{") - (text[at] in ")]}")
        at += 1
        if depth == 0:
            return at
    raise ValueError("an unfinished call")


def _arguments(text: str, schema: Any) -> dict[str, Any]:
    try:
        # A string may go over several lines, which Python's parser refuses.
        call = ast.parse(f"f({_STRING.sub(_one_line, text)}\n)", mode="eval").body
    except (SyntaxError, MemoryError, RecursionError) as exc:
        raise ValueError("no arguments") from exc
    if not isinstance(call, ast.Call):
        raise ValueError("no arguments")
    names = list(schema.get("properties", {})) if isinstance(schema.get("properties", {}), dict) else []
    if len(call.args) > len(names):
        raise ValueError("more arguments than the tool has")
    pairs: list[tuple[str | None, ast.expr]] = list(zip(names, call.args, strict=False))
    pairs += [(keyword.arg, keyword.value) for keyword in call.keywords]
    return {name: _value(node) for name, node in pairs if name is not None}


def _one_line(string: re.Match[str]) -> str:
    return string[0].replace("\r", "\\r").replace("\n", "\\n")


def _value(node: ast.expr) -> Any:
    try:
        return literal(node)
    except (ValueError, TypeError, RecursionError):
        return ast.unparse(node)  # one odd value does not lose the call

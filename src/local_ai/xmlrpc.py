"""XML-RPC's two texts, a call and its answer, as far as supervisord speaks it. Pure.

The standard library's xmlrpc.client brings http.client, gzip, decimal and datetime along: more time to
import than a whole `status` takes.

Source: http://xmlrpc.com/spec.md; dateTime.iso8601 and base64 are left out, supervisord sends neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from xml.parsers import expat


class Fault(Exception):
    """The answer says that the call was refused."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class NotXmlRpc(Exception):
    """The answer is no XML-RPC."""


def write_call(method: str, arguments: Sequence[object]) -> bytes:
    """Write a call; arguments are text, booleans, whole numbers, and lists and dicts of these."""
    params = "".join(f"<param>{_value(argument)}</param>" for argument in arguments)
    return (
        f'<?xml version="1.0"?><methodCall><methodName>{_escape(method)}</methodName>'
        f"<params>{params}</params></methodCall>"
    ).encode()


def read_answer(text: bytes) -> Any:
    """Read an answer's value.

    Raises:
        Fault: The call was refused.
        NotXmlRpc: It is no such answer.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(text, True)
        (value,) = reader.values
    except (expat.ExpatError, ValueError, IndexError, KeyError, TypeError) as exc:
        raise NotXmlRpc(str(exc)) from exc
    if reader.is_fault:
        raise _fault(value)
    return value


def _value(value: object) -> str:
    match value:
        case bool():
            inner = f"<boolean>{value:d}</boolean>"
        case int():
            inner = f"<int>{value}</int>"
        case str():
            inner = f"<string>{_escape(value)}</string>"
        case list():
            inner = f"<array><data>{''.join(map(_value, value))}</data></array>"
        case dict():
            members = (f"<member><name>{_escape(k)}</name>{_value(v)}</member>" for k, v in value.items())
            inner = f"<struct>{''.join(members)}</struct>"
        case _:
            raise TypeError(f"{type(value).__name__} has no place in XML-RPC")
    return f"<value>{inner}</value>"


def _fault(value: Any) -> Exception:
    try:
        return Fault(int(value["faultCode"]), str(value["faultString"]))
    except (KeyError, TypeError, ValueError):
        return NotXmlRpc("a fault without code and text")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Reader:
    """Builds values from the inside out: each end tag takes what was collected since its own start."""

    def __init__(self) -> None:
        self.is_fault = False
        self.values: list[Any] = []
        self._starts: list[int] = []
        self._text: list[str] = []
        self._is_bare = False  # a <value> without a type in it is a string
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append

    def _start(self, tag: str, _attributes: object) -> None:
        self._text.clear()
        self._is_bare = tag == "value"
        self.is_fault = self.is_fault or tag == "fault"
        if tag in {"struct", "array"}:
            self._starts.append(len(self.values))

    def _end(self, tag: str) -> None:
        text = "".join(self._text)
        if tag in _SCALARS:
            self.values.append(_SCALARS[tag](text))
        elif tag == "value" and self._is_bare:
            self.values.append(text)
        elif tag in {"struct", "array"}:
            start = self._starts.pop()
            inner = self.values[start:]
            self.values[start:] = [inner if tag == "array" else dict(zip(*[iter(inner)] * 2, strict=True))]
        self._is_bare = False
        self._text.clear()


_SCALARS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "name": str,
    "int": int,
    "i4": int,
    "double": float,
    "boolean": lambda text: text.strip() == "1",
    "nil": lambda text: None,
}

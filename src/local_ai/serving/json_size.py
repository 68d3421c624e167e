"""The number of values in a JSON text, counted by a scan that is far cheaper than parsing it.

A parser holds the interpreter's lock until it ends, and every other client waits as long. What it takes is
told by the number of values and of escaped characters, hardly by bytes: a picture of 20 MB is one text.
"""

from dataclasses import dataclass

# Fewer bytes cannot hold too much: a list takes three at least ("[],").
_HARMLESS_BYTES = 256 * 1024
# Scanned at a time, about 0.3 ms: other threads get their turn between two parts.
_PART_BYTES = 256 * 1024
# Each takes up to 3 µs to parse, with pydantic's checks (measured, 2026-11): 0.2 s for all at most.
_MOST_VALUES = 80_000
_MOST_ENTRIES = 500_000  # the same, up to 0.4 µs: token ids, for one
_MOST_ESCAPES = 2_000_000  # the same, up to 0.1 µs


@dataclass
class _Size:
    """Counts of what stands in a JSON text."""

    values: int = 0  # objects, lists and texts; a field's name is a text
    entries: int = 0  # whatever commas part
    escapes: int = 0
    has_constants: bool = False  # NaN or Infinity: no other word outside of texts has a capital letter


@dataclass(frozen=True)
class Scan:
    """The counts of a scan of a JSON text."""

    too_much: str = ""  # why it takes too long to parse; "" where it does not
    may_have_constants: bool = False  # NaN or Infinity as a value; of a small text, perhaps only in a text


def scan(raw: bytes) -> Scan:
    """Scan a JSON text; of one that is too large, only as far as is needed to tell so."""
    if len(raw) < _HARMLESS_BYTES:
        return Scan(may_have_constants=b"NaN" in raw or b"Infinity" in raw)
    size = _Size()
    in_text = False
    begin = 0
    while begin < len(raw):
        part = raw[begin : begin + _PART_BYTES]
        begin += len(part)
        if (len(part) - len(part.rstrip(b"\\"))) % 2:  # an escape is not cut in two
            part += raw[begin : begin + 1]
            begin += 1
        in_text = _count(part, in_text, size)
        if why := _why(size):
            return Scan(why)
    return Scan(may_have_constants=size.has_constants)


def _count(part: bytes, in_text: bool, size: _Size) -> bool:
    """Add what a part holds; return whether it ends inside a text."""
    if b"\\" in part:
        whole = len(part)
        part = part.replace(b"\\\\", b"")
        pairs = (whole - len(part)) // 2
        size.escapes += pairs + part.count(b"\\")
        part = part.replace(b'\\"', b"")
    texts = part.split(b'"')
    outside = b" ".join(texts[in_text::2])
    size.values += outside.count(b"[") + outside.count(b"{") + len(texts) // 2
    size.entries += outside.count(b",")
    size.has_constants |= b"N" in outside or b"I" in outside
    return in_text ^ (len(texts) % 2 == 0)


def _why(size: _Size) -> str:
    if size.values > _MOST_VALUES:
        return f"it has more than {_MOST_VALUES} objects, lists and texts, names of fields among them"
    if size.entries > _MOST_ENTRIES:
        return f"its lists and objects have more than {_MOST_ENTRIES} entries"
    if size.escapes > _MOST_ESCAPES:
        return f"more than {_MOST_ESCAPES} characters of its texts are escaped"
    return ""

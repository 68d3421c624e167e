"""Rename what a shared library exports, in memory: `prefix_name` becomes `name`. Pure.

A symbol's name is an offset into a table of texts, so a shorter name is the same text from a later byte on,
and only the hash table that the loader looks names up in has to be rewritten. The GNU table wants its
symbols sorted, which would move them; the older System V table does not, every loader reads it, and it fits
into the same place.

Source: System V ABI, chapters 4 and 5 (object files, dynamic linking).
"""

import struct
from dataclasses import dataclass

# Magic, class, byte order, then of the sections: offset, size, count.
_HEADER = struct.Struct("<4sBB34xQ10xHH2x")
_SECTION = struct.Struct("<4xI8xQQQI20x")  # type, address, offset, size, index of the linked section
_SYMBOL = struct.Struct("<IBBHQQ")
_DYNAMIC = struct.Struct("<qQ")
_64_BIT, _LITTLE_ENDIAN = 2, 1
_SHT_DYNAMIC, _SHT_DYNSYM, _SHT_GNU_HASH = 6, 11, 0x6FFFFFF6
_DT_HASH, _DT_GNU_HASH = 4, 0x6FFFFEF5


@dataclass(frozen=True)
class _Section:
    type: int
    address: int
    offset: int
    size: int
    link: int


def without_prefix(library: bytes, prefix: bytes) -> bytes:
    """Return a 64-bit library whose exported names have lost their prefix; other names stay.

    Raises:
        ValueError: The file is no such library, or is built in another way than this knows.
    """
    try:
        return _renamed(library, prefix)
    except (struct.error, IndexError) as exc:
        raise ValueError(f"it is not whole: {exc}") from exc


def _renamed(library: bytes, prefix: bytes) -> bytes:
    sections = _sections(library)
    symbols, table, dynamic = (
        _only(sections, wanted) for wanted in (_SHT_DYNSYM, _SHT_GNU_HASH, _SHT_DYNAMIC)
    )
    strings = sections[symbols.link]
    texts = library[strings.offset : strings.offset + strings.size]
    renamed = bytearray(library)
    names: list[bytes] = []
    for index, (at, *_) in enumerate(_SYMBOL.iter_unpack(_content(library, symbols))):
        if texts.startswith(prefix, at):
            at += len(prefix)
            struct.pack_into("<I", renamed, symbols.offset + index * _SYMBOL.size, at)
        names.append(texts[at : texts.index(b"\0", at)])
    hashes = _hash_table(names, room=table.size)
    renamed[table.offset : table.offset + len(hashes)] = hashes
    _announce(renamed, dynamic, table)
    return bytes(renamed)


def _sections(library: bytes) -> list[_Section]:
    magic, bits, order, offset, size, count = _HEADER.unpack_from(library)
    if (magic, bits, order, size) != (b"\x7fELF", _64_BIT, _LITTLE_ENDIAN, _SECTION.size):
        raise ValueError("it is not a 64-bit ELF file")
    return [_Section(*_SECTION.unpack_from(library, offset + index * size)) for index in range(count)]


def _only(sections: list[_Section], wanted: int) -> _Section:
    found = [section for section in sections if section.type == wanted]
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} sections of type {wanted:#x}")
    return found[0]


def _content(library: bytes, section: _Section) -> bytes:
    return library[section.offset : section.offset + section.size]


def _hash_table(names: list[bytes], *, room: int) -> bytes:
    """Write a System V hash table: its buckets are the first links of chains by symbol index.

    Args:
        names: By symbol index; the first is no symbol.
        room: Most bytes it may take.
    """
    buckets = min(len(names), room // 4 - 2 - len(names))
    if buckets < 1:
        raise ValueError("its hash table is too small")
    first, following = [0] * buckets, [0] * len(names)
    for index, name in enumerate(names[1:], start=1):
        bucket = elf_hash(name) % buckets
        following[index], first[bucket] = first[bucket], index
    words = [buckets, len(names), *first, *following]
    return struct.pack(f"<{len(words)}I", *words)


def elf_hash(name: bytes) -> int:
    """Return a name's hash in a System V table."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & 0x0FFFFFFF
    return value


def _announce(library: bytearray, dynamic: _Section, table: _Section) -> None:
    """Have the loader read the table as a System V one."""
    entries = list(_DYNAMIC.iter_unpack(_content(bytes(library), dynamic)))
    tags = [tag for tag, _ in entries]
    if _DT_HASH in tags or (_DT_GNU_HASH, table.address) not in entries:
        raise ValueError("it announces its hash table in another way")
    at = dynamic.offset + tags.index(_DT_GNU_HASH) * _DYNAMIC.size
    _DYNAMIC.pack_into(library, at, _DT_HASH, table.address)

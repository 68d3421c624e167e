"""Names are changed in the library that is installed, and looked up as a loader would."""

import importlib.util
import struct
import sys
from pathlib import Path

import pytest

from local_ai.engine.process.elf import elf_hash, without_prefix

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="scipy-openblas32 is installed on Linux")

_DT_HASH, _DT_STRTAB, _DT_SYMTAB = 4, 5, 6


@pytest.fixture(scope="module")
def original() -> bytes:
    package = importlib.util.find_spec("scipy_openblas32")
    assert package is not None and package.origin is not None
    return (Path(package.origin).parent / "lib/libscipy_openblas.so").read_bytes()


@pytest.fixture(scope="module")
def renamed(original: bytes) -> bytes:
    return without_prefix(original, b"scipy_")


class Loader:
    """Looks symbols up by the program headers and the dynamic section alone, as a loader does."""

    def __init__(self, library: bytes) -> None:
        self._library = library
        offset, size, count = (
            *struct.unpack_from("<Q", library, 32),
            *struct.unpack_from("<HH", library, 54),
        )
        headers = [struct.unpack_from("<IIQQQQ", library, offset + index * size) for index in range(count)]
        self._segments = [header for header in headers if header[0] == 1]
        (dynamic,) = (header for header in headers if header[0] == 2)
        self._dynamic = dict(struct.iter_unpack("<qQ", library[dynamic[2] : dynamic[2] + dynamic[5]]))

    def find(self, name: bytes) -> int:
        """Return a symbol's address; 0 if there is none."""
        table, texts, symbols = (self._at(tag) for tag in (_DT_HASH, _DT_STRTAB, _DT_SYMTAB))
        buckets, _count = self._words(table, 2)
        (index,) = self._words(table + 8 + 4 * (elf_hash(name) % buckets), 1)
        while index:
            at, _info, _other, section, address, _size = struct.unpack_from(
                "<IBBHQQ", self._library, symbols + 24 * index
            )
            if section and self._library.startswith(name + b"\0", texts + at):
                assert isinstance(address, int)
                return address
            (index,) = self._words(table + 8 + 4 * (buckets + index), 1)
        return 0

    def _at(self, tag: int) -> int:
        address = self._dynamic[tag]
        (offset,) = (
            address - start + offset
            for _, _, offset, start, _, size in self._segments
            if start <= address < start + size
        )
        return int(offset)

    def _words(self, offset: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{count}I", self._library, offset)


def exported(library: bytes) -> dict[bytes, int]:
    """Read names and addresses from the section of dynamic symbols, without any hash table."""
    offset, size, count = (*struct.unpack_from("<Q", library, 40), *struct.unpack_from("<HH", library, 58))
    sections = [struct.unpack_from("<IIQQQQI", library, offset + index * size) for index in range(count)]
    (symbols,) = (section for section in sections if section[1] == 11)
    texts = sections[symbols[6]][4]
    found: dict[bytes, int] = {}
    for at, _, _, section, address, _ in struct.iter_unpack(
        "<IBBHQQ", library[symbols[4] : symbols[4] + symbols[5]]
    ):
        if section:
            found[library[texts + at : library.index(b"\0", texts + at)]] = address
    return found


def test_every_exported_symbol_is_found_by_its_name_without_the_prefix(original: bytes, renamed: bytes):
    loader = Loader(renamed)

    wanted = {name.removeprefix(b"scipy_"): address for name, address in exported(original).items()}
    found = {name: loader.find(name) for name in wanted}

    assert len(wanted) > 2000
    assert found == wanted


def test_a_name_that_is_not_there_is_not_found(renamed: bytes):
    loader = Loader(renamed)

    assert loader.find(b"cblas_sgemm") != 0
    assert loader.find(b"scipy_cblas_sgemm") == 0
    assert loader.find(b"no_such_function") == 0


def test_nothing_but_names_is_changed(original: bytes, renamed: bytes):
    assert len(renamed) == len(original)
    assert renamed.count(b"scipy_cblas_sgemm\0") == original.count(b"scipy_cblas_sgemm\0")


@pytest.mark.parametrize(
    "broken",
    [
        lambda whole: b"",
        lambda whole: b"MZ" + whole[2:],
        lambda whole: whole[:-1],
        lambda whole: whole[:5000],
    ],
    ids=["empty", "no ELF file", "cut by a byte", "cut early"],
)
def test_what_is_no_whole_library_is_refused(original: bytes, broken):
    with pytest.raises(ValueError, match=r"not a 64-bit ELF file|not whole"):
        without_prefix(broken(original), b"scipy_")


def test_a_library_is_not_renamed_twice(renamed: bytes):
    with pytest.raises(ValueError, match="announces its hash table in another way"):
        without_prefix(renamed, b"scipy_")

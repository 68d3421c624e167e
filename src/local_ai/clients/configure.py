"""Change a file of a client's: what would change, then the change itself, in one step."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_ai.atomic_file import replace_file
from local_ai.errors import ConfigError
from local_ai.regular_file import read_regular


@dataclass(frozen=True)
class Change:
    """A file as it is, and as it is to be."""

    client: str
    file: Path
    before: bytes | None  # None: there is none
    after: bytes | None

    @property
    def diff(self) -> list[str]:
        """The lines of a unified diff; none where nothing changes."""
        both = (self.before, self.after)
        old, new = ((each or b"").decode().splitlines() for each in both)
        old_name, new_name = ("/dev/null" if each is None else str(self.file) for each in both)
        return [*difflib.unified_diff(old, new, old_name, new_name, lineterm="")]


def plan_change(client: str, file: Path, change: Callable[[str], str]) -> Change:
    """Read a client's file and work out its change.

    Args:
        change: From text to text; "" stands for no file, and ValueError says why it cannot be changed.

    Raises:
        ConfigError: The file cannot be read, is broken, or cannot be changed.
    """
    before = _read(client, file)
    try:
        after = change((before or b"").decode()).encode()
    except (ValueError, RecursionError) as exc:
        raise _not_changed(client, file, str(exc), fix="correct the file, and run the same command") from exc
    return Change(client, file, before, after or None)


def make_change(change: Change) -> None:
    """Write the file in one step, or remove it; a link stays a link.

    Raises:
        ConfigError: The file is another than the one that was read, or cannot be written.
    """
    if _read(change.client, change.file) != change.before:
        raise _not_changed(
            change.client, change.file, "it was changed meanwhile", fix="run the same command again"
        )
    target = change.file.resolve()
    try:
        if change.after is None:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, [change.after], keep_mode=True)  # a new one is 0600: it may hold a key
    except OSError as exc:
        raise _unreachable(change.client, change.file, exc) from exc


def _read(client: str, file: Path) -> bytes | None:
    try:
        return read_regular(file)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _unreachable(client, file, exc) from exc


def _unreachable(client: str, file: Path, exc: OSError) -> ConfigError:
    return _not_changed(client, file, str(exc.strerror), fix="correct this path, and run the same command")


def _not_changed(client: str, file: Path, why: str, *, fix: str) -> ConfigError:
    return ConfigError(f"the settings of {client} were not changed", why=f"{file}: {why}", fix=fix)

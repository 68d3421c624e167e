"""The entry by which local-ai was called: the installed script, a module, or `inv` in a checkout.

Every text names a command in one form, `local-ai server start`. `as_called` writes it as this process's
people type it, which the command line or state.json tells once, when the process begins.
"""

import re
from pathlib import PurePath

DEFAULT = "local-ai"
_MODULE = "python -m local_ai"
_UV = "uv run "
_GROUPS = "server|models|client|cache|service|cluster|omni|config|completion|self"
_PLAIN = "doctor|diagnostics|uninstall"  # commands that texts name without their group
_ANY_ENTRY = rf"\b(?:{_UV})?(?:local-ai|{_MODULE}|inv)"
_COMMAND = re.compile(
    rf"{_ANY_ENTRY} (?:(?P<group>{_GROUPS})[ .](?P<word>\w+)|(?P<plain>{_PLAIN})\b|(?P<helped>\w+ )?--help\b)"
)

_entry = DEFAULT


def set_entry(entry: str) -> None:
    """Set how local-ai is called: a value of `entry_of`."""
    # Like the locale: a fact of the process, not of any one call.
    global _entry
    _entry = entry


def current_entry() -> str:
    """Return how local-ai is called, `local-ai` by default."""
    return _entry


def entry_of(program: str, *, by_uv: bool) -> str:
    """Name the entry by which a program was called.

    Args:
        program: Its path, `sys.argv[0]`.
        by_uv: Whether `uv run` of a checkout called it.
    """
    name = {"inv": "inv", "invoke": "inv", "__main__.py": _MODULE}.get(PurePath(program).name, DEFAULT)
    return f"{_UV}{name}" if by_uv else name


def as_called(text: str) -> str:
    """Write each command in a text the way local-ai was called."""
    return _COMMAND.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    is_inv = _entry.endswith("inv")
    if found["group"]:
        return f"{_entry} {found['group']}{'.' if is_inv else ' '}{found['word']}"
    if found["plain"]:
        return f"{_entry} {found['plain']}"
    helped = found["helped"] or ""
    # invoke keeps `inv --help` for itself.
    return f"{_entry} --list {helped}".rstrip() if is_inv else f"{_entry} {helped}--help"

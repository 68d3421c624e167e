"""Completion in a shell's own file: a block between two marks, put there, replaced and taken out again."""

from pathlib import Path

from local_ai.atomic_file import replace_file
from local_ai.errors import LocalAIError
from local_ai.regular_file import read_regular

_FIRST = "# >>> local-ai completion >>>"
_LAST = "# <<< local-ai completion <<<"


def put_block(file: Path, script: str) -> bool:
    """Write the script into a file, in place of an older one; False where it is there already.

    Raises:
        LocalAIError: The file cannot be read or written, or a mark is missing; it is left as it was.
    """
    before, block, after = _split(file)
    new = f"{_FIRST}\n{script}{_LAST}\n"
    if block == new:
        return False
    if before and not before.endswith("\n"):
        before += "\n"
    _write(file, before + new + after)
    return True


def has_block(file: Path) -> bool:
    """Tell whether there is a block of ours in a file.

    Raises:
        LocalAIError: As `put_block`.
    """
    return bool(_split(file)[1])


def take_block(file: Path) -> bool:
    """Take the block out of a file, and the file away where nothing else is in it; False: it has none.

    Raises:
        LocalAIError: As `put_block`.
    """
    before, block, after = _split(file)
    if not block:
        return False
    if before or after:
        _write(file, before + after)
    else:
        file.unlink()
    return True


def _split(file: Path) -> tuple[str, str, str]:
    """Return what is before the block, the block, and what is after it."""
    try:
        text = read_regular(file).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return "", "", ""
    except OSError as exc:
        raise _not_changed(file, exc.strerror or str(exc)) from exc
    lines = text.splitlines(keepends=True)
    bare = [line.rstrip() for line in lines]
    marks = [at for at, line in enumerate(bare) if line in {_FIRST, _LAST}]
    if not marks:
        return text, "", ""
    if [bare[at] for at in marks] != [_FIRST, _LAST]:
        raise _not_changed(
            file, f"a block is from a line {_FIRST} to a line {_LAST}, and here is not one such"
        )
    first, last = marks
    return "".join(lines[:first]), "".join(lines[first : last + 1]), "".join(lines[last + 1 :])


def _write(file: Path, text: str) -> None:
    target = file.resolve()  # a link to a file kept elsewhere stays a link
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, [text.encode("utf-8", "surrogateescape")], mode=0o644, keep_mode=True)
    except OSError as exc:
        raise _not_changed(file, exc.strerror or str(exc)) from exc


def _not_changed(file: Path, why: str) -> LocalAIError:
    return LocalAIError(
        "the completion was not changed",
        why=f"{file}: {why}",
        fix="correct that file, or write the lines elsewhere",
        command="local-ai --print-completion-script bash",
    )

"""`completion.install`: a shell completes commands, options and models of `local-ai`."""

from pathlib import Path, PurePath

from local_ai.cli import console
from local_ai.cli.completion import SHELLS, completion_script
from local_ai.cli.completion_file import has_block, put_block, take_block
from local_ai.entry import DEFAULT, current_entry
from local_ai.errors import ConfigError
from local_ai.settings.shell import completion_file, user_shell

_DOTTED = {"bash", "zsh"}  # fish reads its folder by itself


def install(*, shell: str | None, undo: bool) -> None:
    """Write completion into the shell's own file, or take it out again."""
    shell = shell or _own_shell()
    file = completion_file(shell)
    if undo:
        console.print_line(
            f"Removed from {file}" if take_block(file) else f"There is nothing of local-ai in {file}"
        )
        return
    is_new = put_block(file, completion_script(shell))
    console.print_line(f"Written: {file}" if is_new else f"Up to date: {file}")
    if is_new:
        source = f"; in this one: source {file}" if shell in _DOTTED else ""
        console.print_note(f"{shell} completes local-ai in each new shell{source}")
        if current_entry() != DEFAULT:
            console.print_warning(f"it completes {DEFAULT} alone, not {current_entry()}: put it on your PATH")


def _own_shell() -> str:
    path = user_shell()
    name = PurePath(path).name
    if name in SHELLS:
        return name
    raise ConfigError(
        "there is no completion for your shell",
        why=f"SHELL is {path!r}, and there is completion for {', '.join(SHELLS)}"
        if path
        else "SHELL is not set",
        fix="name a shell",
        command=f"local-ai completion install {SHELLS[0]}",
    )


def files_with_completion() -> list[Path]:
    """List the shells' files that completion was written to."""
    return [file for file in map(completion_file, SHELLS) if has_block(file)]

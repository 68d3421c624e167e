"""The console script `local-ai`, and `python -m local_ai`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called us: nothing is to be heard
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows "?"
    from local_ai.cli.run import guarded, let_reader_go

    try:
        code = guarded(_run, sys.argv[1:])
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: tidying the interpreter up takes a fifth of a `status`, and there is nothing to tidy.
        os._exit(code)
    except BrokenPipeError:
        let_reader_go()
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit("This is a bug in local-ai: please report it with the lines above.")


def _run(words: Sequence[str]) -> int | None:
    from local_ai.cli import console
    from local_ai.cli.parser import parse

    if words[:1] in (["--version"], ["-V"]):
        from importlib.metadata import version

        console.print_raw(f"local-ai {version('local-ai')}")
        return 0
    if words[:1] in (["--complete"], ["--print-completion-script"]):
        from local_ai.cli.completion import candidates, completion_script

        is_script = words[0] != "--complete"
        text = completion_script("".join(words[1:2])) if is_script else "\n".join(candidates(words[1:]))
        console.print_raw(text.rstrip("\n"))
        return 0
    wanted = parse(words)
    if wanted.command is None or wanted.is_help:
        from local_ai.cli.help import help_text

        console.print_line(help_text(wanted).rstrip("\n"))
        return 0
    return wanted.command.run(wanted.values)


if __name__ == "__main__":
    main()

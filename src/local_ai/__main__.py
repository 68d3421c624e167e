"""The console script `local-ai`, and `python -m local_ai`.

The server's commands in their plain forms are run without invoke, whose import takes longer than most of
them. Anything else, help and mistakes included, is invoke's.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Per command: its option → the name of the argument, and whether a value follows.
_QUICK: dict[str, dict[str, tuple[str, bool]]] = {
    "server.start": {
        "--host": ("host", True),
        "--port": ("port", True),
        "--model": ("model", True),
        "--config": ("config", True),
        "--log-level": ("log_level", True),
        "--foreground": ("foreground", False),
        "--timeout": ("timeout", True),
    },
    "server.restart": {
        "--host": ("host", True),
        "--port": ("port", True),
        "--model": ("model", True),
        "--config": ("config", True),
        "--log-level": ("log_level", True),
        "--timeout": ("timeout", True),
    },
    "server.status": {"--json": ("as_json", False), "--deep": ("deep", False)},
    "server.stop": {"--force": ("force", False), "--timeout": ("timeout", True)},
    "server.logs": {
        "--program": ("program", True),
        "--lines": ("lines", True),
        "--follow": ("follow", False),
    },
}


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called us: nothing is to be heard
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows "?"
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: tidying the interpreter up takes a fifth of a `status`, and there is nothing to tidy.
        os._exit(code)
    except BrokenPipeError:
        from local_ai.cli.run import let_reader_go

        let_reader_go()
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit("This is a bug in local-ai: please report it with the lines above.")


def _run(words: Sequence[str]) -> int:
    if words[:1] == ["server"]:
        words = ["server.status"] if len(words) == 1 else [f"server.{words[1]}", *words[2:]]
    arguments = parse_quick(words)
    if arguments is None:
        from local_ai.cli import tasks

        tasks.run()
        return 0
    from local_ai.cli import server
    from local_ai.cli.run import guarded

    return guarded(getattr(server, words[0].partition(".")[2]), **arguments)


def parse_quick(words: Sequence[str]) -> dict[str, Any] | None:
    """Parse a quick command's options; None for any other command, option or form."""
    options = _QUICK.get(words[0]) if words else None
    if options is None:
        return None
    arguments: dict[str, Any] = {}
    rest = iter(words[1:])
    for word in rest:
        if word not in options:
            return None
        name, takes_value = options[word]
        value = next(rest, None) if takes_value else True
        if value is None:
            return None
        arguments[name] = value
    return arguments


if __name__ == "__main__":
    main()

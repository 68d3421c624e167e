"""The console script `local-ai`, and `python -m local_ai`."""

import gc
import io
import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command line and end the process with its exit code."""
    gc.set_threshold(50_000)  # imports leave nothing to collect, and looking for it was 7 % of a `status`
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, who wants no output
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows "?"
    from local_ai.cli.run import guarded, let_reader_go, run_words

    try:
        code = guarded(run_words, sys.argv[1:])
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


if __name__ == "__main__":
    main()

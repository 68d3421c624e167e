"""Run the gateway: `python -m local_ai.gateway --state FILE`. Started by supervisord as `welcome-page`."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from local_ai.entry import set_entry
from local_ai.errors import LocalAIError
from local_ai.gateway.listener.server import listen, serve
from local_ai.serving.imports import undisturbed_imports
from local_ai.serving.nonblocking_log import log_without_blocking
from local_ai.serving.orphan_guard import start_orphan_guard
from local_ai.serving.signals import ignore_signals
from local_ai.settings.state import read_state, read_target

_LOG = logging.getLogger("local_ai.gateway")


def main() -> int:
    """Run until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_ai.gateway", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state.json of the last start")
    arguments = parser.parse_args()
    start_orphan_guard()
    ignore_signals()  # it takes USR1 and HUP once it serves (listener/server.py)
    try:
        # Listens first: clients wait while the settings' schema is imported, instead of being refused.
        target = read_target(arguments.state)
        listener = listen(target.host, target.port) if target else None
        with undisturbed_imports():
            state = read_state(arguments.state)
        set_entry(state.entry)
        server = state.settings.server
        listener = listener or listen(server.host, server.port)
        log_without_blocking(server.log_level)
        _LOG.info("listening on %s:%d", server.host, server.port)
        asyncio.run(serve(state, listener))
    except LocalAIError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

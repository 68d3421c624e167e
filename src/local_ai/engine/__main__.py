"""python -m local_ai.engine --state FILE: the engine process.

The socket listens first, so that a request made while imports run waits instead of being refused; then
the generating thread imports mlx-lm and loads the default model, while the event loop answers already.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from local_ai.engine.cluster.channel import Channel
from local_ai.engine.cluster.lead import Lead
from local_ai.engine.process.environment import tell_libraries
from local_ai.engine.process.self_restart import LISTENER, restart_in_place
from local_ai.engine.process.socket import listen, pid_file
from local_ai.entry import set_entry
from local_ai.errors import LocalAIError
from local_ai.serving.nonblocking_log import log_without_blocking
from local_ai.serving.orphan_guard import start_orphan_guard
from local_ai.serving.signals import ignore_signals
from local_ai.settings.state import State, read_state

if TYPE_CHECKING:
    from local_ai.engine.process.server import EngineServer

_WRITE_S = 3.0  # for remembered prompts to be written
_EXIT_S = 1.0  # for the generating thread to end its step, once no answer is running or cut off


def main() -> int:
    """Run the engine until it is told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_ai.engine", description="The engine process.")
    parser.add_argument("--state", type=Path, required=True, help="the state.json that a start wrote")
    parser.add_argument(
        LISTENER,
        type=int,
        help="descriptor of the listening socket; loads no model before a request",
    )
    parser.add_argument(
        "--cluster", action="store_true", help="it leads other ranks; its stdin and stdout are their line"
    )
    arguments = parser.parse_args()
    channel = Channel() if arguments.cluster else None
    goes_on = arguments.listener is not None
    try:
        state = read_state(arguments.state)
        set_entry(state.entry)
        listener = socket.socket(fileno=arguments.listener) if goes_on else listen(state.paths.engine_socket)
    except LocalAIError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    os.chdir(state.paths.state_dir)
    tell_libraries(os.environ, state.paths.state_dir)
    log_without_blocking(state.settings.server.log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if channel is None:
        start_orphan_guard()  # else the channel is its own
    stopping = _Stopping()
    signal.signal(signal.SIGTERM, stopping.stop)
    signal.signal(signal.SIGINT, stopping.stop)
    ignore_signals()  # the gateway takes SIGHUP, and tells the engine by its socket
    with pid_file(state.paths.engine_pid):
        try:
            lead = Lead(channel) if channel else None
            kept = _serve(state, listener, stopping, goes_on=goes_on, lead=lead)
            if kept is not None and stopping.let_signals_end_it():
                with suppress(OSError):  # so that a prober that gets no answer sees that it is young
                    os.utime(state.paths.engine_pid)
                restart_in_place(kept)
        finally:
            state.paths.engine_socket.unlink(missing_ok=True)
    return 0


class _Stopping:
    """The reaction to SIGTERM: an orderly end, whether the server runs already or not.

    uvicorn raises a signal it has handled once more after its own orderly end, so it comes here too.
    """

    def __init__(self) -> None:
        self.server: EngineServer | None = None
        self.is_told = False

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_told = True
        if self.server is None:
            raise SystemExit(0)
        self.server.should_exit = True

    def let_signals_end_it(self) -> bool:
        """From now on a signal ends the process at once; return whether none has come before."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return not self.is_told


def _serve(
    state: State, listener: socket.socket, stopping: _Stopping, *, goes_on: bool, lead: Lead | None
) -> socket.socket | None:
    """Serve until told to stop or to restart in place; return the socket for the next process, if any."""
    # Imported only now: the socket should listen, and the pid be known, before anything takes time.
    from local_ai.engine.app import Engine
    from local_ai.engine.process.server import EngineServer

    engine = Engine(state, anew=goes_on, lead=lead)
    server = EngineServer(engine.app, listener, engine.self_restart.is_due)
    engine.start(preload=state.settings.model.preload and not goes_on)
    stopping.server = server
    server.run(sockets=[listener])
    engine.keep_awake.release()  # it would outlast a restart in place, which keeps the pid
    engine.templates.end()
    engine.pictures.end()
    engine.worker.stop()
    engine.worker.join(_EXIT_S)  # a step that hangs does not keep the process: see the end of this file
    engine.worker.finish_writes(_WRITE_S)
    return server.kept


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as exc:  # told to stop before the server ran, or wrong arguments
        code = exc.code if isinstance(exc.code, int) else 1
    # Not sys.exit: at an orderly exit mlx aborts when its thread is still in a step.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

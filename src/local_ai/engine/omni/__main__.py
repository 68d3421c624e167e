"""python -m local_ai.engine.omni --state FILE: the program `omni`, in its own environment.

Of the engine it has the socket's care, the BLAS and the health, and nothing of the text.
"""

import argparse
import logging
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from local_ai.engine.health import HealthBoard
from local_ai.engine.process.blas import Blas, preload_blas
from local_ai.engine.process.environment import tell_libraries
from local_ai.engine.process.socket import listen
from local_ai.entry import set_entry
from local_ai.errors import LocalAIError
from local_ai.serving.nonblocking_log import log_without_blocking
from local_ai.serving.orphan_guard import start_orphan_guard
from local_ai.serving.signals import ignore_signals
from local_ai.settings.state import State, read_state

_LOG = logging.getLogger("local_ai.engine.omni")


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_ai.engine.omni", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the state.json that a start wrote")
    arguments = parser.parse_args()
    start_orphan_guard()
    try:
        state = read_state(arguments.state)
        set_entry(state.entry)
        log_without_blocking(state.settings.server.log_level)
        blas = preload_blas(state.settings.engine.blas)
        listener = listen(state.paths.omni_socket)
    except LocalAIError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    signal.signal(signal.SIGTERM, _stop)
    ignore_signals()  # it reads changed settings with each request
    os.chdir(state.paths.state_dir)
    tell_libraries(os.environ, state.paths.state_dir)
    _provide_ffmpeg(state)
    _LOG.info("%s: matrices are multiplied with %s", ", ".join(state.omni_parts), blas.name)

    try:
        _serve(state, listener, blas)
    finally:
        state.paths.omni_socket.unlink(missing_ok=True)
    return 0


def _serve(state: State, listener: socket.socket, blas: Blas) -> None:
    # Imported only now: the socket should listen before anything takes time.
    from local_ai.engine.omni.app import make_app
    from local_ai.engine.process.server import EngineServer

    app = make_app(state, HealthBoard("mlx-omni-server", imported=True, blas=blas))
    EngineServer(app, listener, renews=lambda: False).run(sockets=[listener])


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End in order: before the server runs, and once more when uvicorn raises the signal it has handled."""
    raise SystemExit(0)


def _provide_ffmpeg(state: State) -> None:
    """Let mlx_whisper, which calls `ffmpeg`, find the one of the package where the system has none."""
    if shutil.which("ffmpeg") is not None:
        return
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:  # transcription is not installed
        return
    folder = state.paths.omni_dir / "bin"
    folder.mkdir(exist_ok=True)
    link = folder / "ffmpeg"
    link.unlink(missing_ok=True)
    link.symlink_to(get_ffmpeg_exe())
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    # Not sys.exit: at an orderly exit mlx aborts when its thread is still in a step.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

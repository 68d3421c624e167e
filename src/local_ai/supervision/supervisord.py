"""Start, find and end supervisord itself, and what a dead one left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from local_ai.errors import ServerError
from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths
from local_ai.supervision.environment import for_programs
from local_ai.supervision.rpc import SupervisorClient

# Usually 0.2 s; a machine that swaps takes longer.
_LAUNCH_TIMEOUT_S = 15.0
_PID_FILE_S = 1.0
_STAYS = "--nodaemon"
_GO = "\n"


@contextmanager
def waiting(paths: Paths, *, foreground: bool, uses_ssh: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Start supervisord, which imports itself and waits; it is killed if what is done meanwhile fails.

    It is in a session of its own, so that Ctrl-C in the terminal reaches only the caller, which stops the
    programs in order.

    Args:
        uses_ssh: Whether one of its programs does.
    """
    output = None if foreground else subprocess.PIPE
    process = subprocess.Popen(
        [*_command(paths), *([_STAYS, "--silent"] if foreground else [])],
        cwd=paths.state_dir,
        env=for_programs(os.environ, uses_ssh=uses_ssh),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,
        umask=0o077,
    )
    try:
        yield process
    except BaseException:
        with process:
            process.kill()
        raise


def launch(process: subprocess.Popen[str], paths: Paths) -> None:
    """Let the one that waits go to the background; it listens on its socket when this returns.

    Raises:
        ServerError: It ended with a complaint, or did not come up in time.
    """
    try:
        output, complaints = process.communicate(_GO, timeout=_LAUNCH_TIMEOUT_S)
    except BaseException as exc:
        process.kill()
        # Before the caller hears of it, and removes the socket by which a supervisord would be found.
        _await_pid_file(paths)
        if isinstance(exc, subprocess.TimeoutExpired):
            raise _not_launched(paths, f"it was not up after {_LAUNCH_TIMEOUT_S:.0f} s") from exc
        raise
    if process.returncode != 0:
        reason = _complaint(complaints) or _complaint(output)
        raise _not_launched(paths, reason or f"it ended with code {process.returncode}")
    SupervisorClient(paths.supervisor_socket).poke()


def launch_in_foreground(process: subprocess.Popen[str]) -> None:
    """Let the one that waits go on as a child of this process."""
    assert process.stdin
    with suppress(BrokenPipeError), process.stdin as line:  # one that has ended is seen to have
        line.write(_GO)


def _command(paths: Paths) -> list[str]:
    return [sys.executable, "-P", "-m", "local_ai.supervision", "-c", str(paths.conf)]


def _await_pid_file(paths: Paths) -> None:
    """One that listens already may be in the background by now; by this file it is found, and ended."""
    deadline = time.monotonic() + _PID_FILE_S
    while os.path.exists(paths.supervisor_socket) and time.monotonic() < deadline:
        if os.path.exists(paths.supervisord_pid):
            return
        time.sleep(0.01)


def _complaint(output: str) -> str:
    """The first line, which says it; of a traceback the last one does."""
    lines = output.strip().splitlines() or [""]
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def find_supervisord(paths: Paths) -> psutil.Process | None:
    """Find a running supervisord of ours that the socket does not lead to, by pid file and argv."""
    try:
        pid = int(read_regular(paths.supervisord_pid))
    except (OSError, ValueError):
        return None
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return None
    return process if _runs_with(process, str(paths.conf)) else None


def is_in_foreground(process: psutil.Process) -> bool:
    """Tell whether a supervisord runs below a start that stays and sees how it ends."""
    return _runs_with(process, _STAYS)


def find_launched(paths: Paths) -> list[psutil.Process]:
    """Find what this process itself has launched on the configuration, before it has written a pid file."""
    return [process for process in psutil.Process().children() if _runs_with(process, str(paths.conf))]


def find_orphans(paths: Paths) -> list[psutil.Process]:
    """Find programs of ours, by their argv, however they were started."""
    return [process for process in _own_processes() if _runs_with(process, str(paths.state_file))]


def end_processes(processes: Iterable[psutil.Process], *, grace_s: float) -> bool:
    """End processes: SIGTERM, then SIGKILL for those that are left after `grace_s`.

    Returns:
        Whether SIGKILL was needed.
    """
    alive = [process for process in processes if _signal(process, kill=False)]
    _, alive = psutil.wait_procs(alive, timeout=grace_s)
    killed = [process for process in alive if _signal(process, kill=True)]
    psutil.wait_procs(killed, timeout=5)
    return bool(killed)


def wait_gone(pid: int, *, timeout_s: float) -> bool:
    """Wait until a process has ended; True if it did in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if _has_ended(pid):
            return True
        time.sleep(0.01)
    return False


def has_leftovers(paths: Paths) -> bool:
    """Tell whether a run left anything behind: an orderly stop removes all of it."""
    return any(os.path.lexists(file) for file in _run_files(paths))


def remove_leftovers(paths: Paths) -> None:
    """Remove sockets and pid files of a run that is over."""
    for file in _run_files(paths):
        file.unlink(missing_ok=True)
    if paths.socket_dir != paths.state_dir and os.path.isdir(paths.socket_dir):
        paths.socket_dir.rmdir()


def _run_files(paths: Paths) -> tuple[Path, ...]:
    return (
        paths.supervisor_socket,
        paths.engine_socket,
        paths.omni_socket,
        paths.supervisord_pid,
        paths.engine_pid,
    )


def _not_launched(paths: Paths, reason: str) -> ServerError:
    return ServerError(
        "supervisord did not start",
        why=reason.removeprefix("Error: "),
        fix="fix that, then run",
        command="local-ai server start",
        see=str(paths.logs_dir / "supervisord.log"),
    )


def _own_processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["uids"]):
        if (uids := process.info["uids"]) and uids.real == os.getuid():
            yield process


def _runs_with(process: psutil.Process, argument: str) -> bool:
    try:
        return argument in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _has_ended(pid: int) -> bool:
    """Tell whether a process is over: gone, or a zombie that its parent has not asked for yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def _signal(process: psutil.Process, *, kill: bool) -> bool:
    try:
        process.kill() if kill else process.terminate()
    except psutil.Error:
        return False
    return True

"""The launch of supervisord, under the lock: what an earlier one left is ended and removed first."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace

from local_ai.errors import LocalAIError
from local_ai.lifecycle import preflight, start
from local_ai.lifecycle.failures import interrupted
from local_ai.lifecycle.stop import end_leftovers
from local_ai.settings.paths import Paths
from local_ai.settings.state import State, write_private, write_state
from local_ai.supervision import supervisord
from local_ai.supervision.omni import link_package

_GRACE_S = 5.0  # from SIGTERM to SIGKILL for processes without a supervisord


def launch(
    state: State,
    make_conf: Callable[[], str],
    paths: Paths,
    on_progress: Callable[[str], None],
    *,
    foreground: bool,
) -> subprocess.Popen[str] | None:
    """Start supervisord, in the background or as a child of this process.

    Args:
        make_conf: Returns the text of its configuration.

    Returns:
        The child; None in the background.

    Raises:
        LocalAIError: It was interrupted, the port is taken, the model cannot be prepared, or supervisord did
            not start; nothing is left running.
    """
    try:
        _clean_up(paths)
        _check_port(state, paths)
        uses_ssh = bool(state.settings.cluster.hosts)
        with supervisord.waiting(paths, foreground=foreground, uses_ssh=uses_ssh) as process:
            # Kept while it runs: a model that comes later is no reason to answer with another one.
            state = replace(state, default_model=start.prepare_model(state, on_progress))
            preflight.prepare_folders(paths)
            if state.omni_parts:
                link_package(paths)
            write_private(paths.conf, make_conf())
            write_state(state, paths.state_file)
            if foreground:
                supervisord.launch_in_foreground(process)
                return process
            supervisord.launch(process, paths)
    except KeyboardInterrupt as exc:
        end_launched(paths)
        raise interrupted("Ctrl-C before the server was up, so nothing was left running") from exc
    except BaseException:
        end_launched(paths)
        raise
    return None


def end_launched(paths: Paths) -> None:
    """End what a launch that was interrupted, or failed, has left."""
    supervisord.end_processes(supervisord.find_launched(paths), grace_s=_GRACE_S)
    end_leftovers(paths, grace_s=_GRACE_S)
    supervisord.remove_leftovers(paths)


def _check_port(state: State, paths: Paths) -> None:
    """Make sure the port is free; a program of ours without a supervisord is ended."""
    try:
        start.check_port_of(state)
    except LocalAIError:
        if not end_leftovers(paths, grace_s=_GRACE_S).any:
            raise
        start.check_port_of(state)


def _clean_up(paths: Paths) -> None:
    """End what runs without a supervisord that answers, and remove what it left."""
    if os.path.exists(paths.state_file) and not supervisord.has_leftovers(paths):
        return  # the last stop was an orderly one: no need to look at every process
    end_leftovers(paths, grace_s=_GRACE_S)
    supervisord.remove_leftovers(paths)

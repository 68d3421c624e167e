"""Stop an engine that keeps ending, so that it is explained instead of looped.

supervisord gives up on a program that ends while it starts; one that ends later it restarts for ever. The
gateway is the one of ours that is always there to see it. What it does leaves its trace in supervisord's
log, which is where `status` reads it from.
"""

import asyncio
import logging

from local_ai.settings.state import State
from local_ai.supervision.crashes import read_crashes
from local_ai.supervision.program import ENGINE, OMNI, SUPERVISORD, ProcessState
from local_ai.supervision.rpc import SupervisorClient, SupervisorError

_LOG = logging.getLogger("local_ai.gateway")
_POLL_S = 1.0


async def stop_flapping(state: State) -> None:
    """Look every second, until cancelled."""
    seen = -1
    log = state.paths.log(SUPERVISORD)
    while True:
        await asyncio.sleep(_POLL_S)
        size = log.stat().st_size if log.exists() else 0
        if size != seen:
            await asyncio.to_thread(stop_if_flapping, state)
            seen = size


def stop_if_flapping(state: State) -> None:
    """Stop each program that holds models and has ended too often in too short a time."""
    max_crashes = state.settings.engine.max_crashes
    exits = read_crashes(state.paths.log(SUPERVISORD), max_crashes=max_crashes)
    flapping = {name for name in (ENGINE, OMNI) if name in exits and exits[name].is_flapping}
    if not flapping:
        return
    client = SupervisorClient(state.paths.supervisor_socket)
    try:
        for info in client.processes():
            # In any other state a stop leaves no trace in the log, or supervisord gives up by itself.
            if info.name in flapping and info.state in {ProcessState.RUNNING, ProcessState.STARTING}:
                client.stop(info.name)
                _LOG.error("stopped %s: it ended %d times in a short while", info.name, max_crashes)
    except SupervisorError as exc:
        _LOG.warning("%s keeps ending, but supervisord did not stop it: %s", ", ".join(flapping), exc)

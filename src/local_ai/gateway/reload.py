"""Changed settings: told of by SIGHUP, or seen by `config.watch`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.errors import LocalAIError
from local_ai.settings.state import State, read_state
from local_ai.supervision.reload import reload_settings

if TYPE_CHECKING:
    from local_ai.gateway.context import GatewayContext

_LOG = logging.getLogger("local_ai.gateway")
_POLL_S = 0.5


async def take_or_reload(context: GatewayContext) -> None:
    """Take the settings of state.json where a command has changed them, else read the settings file again."""
    try:
        state = await asyncio.to_thread(_changed, context.state)
    except LocalAIError as error:
        _LOG.error("the settings stay as they are: %s", error)
        return
    if state.revision != context.state.revision:
        context.take(state)


async def watch_settings(context: GatewayContext) -> None:
    """Take each change of the settings file while `config.watch` is set."""
    seen = _stamp(context.state)
    while True:
        await asyncio.sleep(_POLL_S)
        if not context.state.settings.config.watch or (stamp := _stamp(context.state)) == seen:
            continue
        seen = stamp
        await take_or_reload(context)


def _changed(running: State) -> State:
    written = read_state(running.paths.state_file)
    return written if written.revision != running.revision else _reloaded(running)


def _reloaded(running: State) -> State:
    state, reload = reload_settings(running)
    for change in reload.changed:
        _LOG.info("%s has changed", change.key)
    for change in reload.needs_restart:
        _LOG.warning("%s has changed: to use it, run: local-ai server restart", change.key)
    return state


def _stamp(state: State) -> tuple[int, int, int] | None:
    """Return what is another with each change of the file; None where there is none."""
    try:
        stat = Path(state.given.file or state.paths.config_file).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino

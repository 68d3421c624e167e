"""Changed settings: told of by SIGHUP, or seen by `config.watch`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_ai.errors import LocalAIError
from local_ai.settings.state import State, read_state
from local_ai.supervision.reload import load_for, reload_settings

if TYPE_CHECKING:
    from local_ai.gateway.context import GatewayContext
    from local_ai.settings.reload import Reload

_LOG = logging.getLogger("local_ai.gateway")
_POLL_S = 0.5


async def take_or_reload(context: GatewayContext) -> None:
    """Take the settings of state.json where a command has changed them, else read the settings file again."""
    async with context.live.changing:
        try:
            state = await asyncio.to_thread(_changed, context.state)
        except LocalAIError as error:
            _LOG.error("the settings stay as they are: %s", error)
            return
        if state.revision != context.state.revision:
            context.take(state)


async def change_settings(context: GatewayContext, changes: Mapping[str, Any]) -> Reload:
    """Write values into the settings file, and take what can change in place.

    Args:
        changes: By key; None takes the key out of the file.

    Raises:
        ConfigError: A value is wrong, or the file cannot be changed; nothing was.
    """
    async with context.live.changing:
        state, reload = await asyncio.to_thread(_write, context.state, changes)
        if state.revision != context.state.revision:
            context.take(state)
        return reload


async def watch_settings(context: GatewayContext) -> None:
    """Take each change of the settings file while `config.watch` is set."""
    seen = _stamp(context.state)
    while True:
        await asyncio.sleep(_POLL_S)
        if not context.state.settings.config.watch or (stamp := _stamp(context.state)) == seen:
            continue
        seen = stamp
        await take_or_reload(context)


def _write(running: State, changes: Mapping[str, Any]) -> tuple[State, Reload]:
    from local_ai.settings.edit import set_values
    from local_ai.settings.exposure import check_exposure
    from local_ai.settings.reload import compare

    def check(new: Path) -> None:
        wanted = load_for(running, config_file=new).settings
        check_exposure(compare(running.settings, wanted).settings.server)

    if changes:
        set_values(running.file, changes, check=check)
    return _reloaded(running)


def _changed(running: State) -> State:
    written = read_state(running.paths.state_file)
    return written if written.revision != running.revision else _reloaded(running)[0]


def _reloaded(running: State) -> tuple[State, Reload]:
    state, reload = reload_settings(running)
    for change in reload.changed:
        _LOG.info("%s has changed", change.key)
    for change in reload.needs_restart:
        _LOG.warning("%s has changed: to use it, run: local-ai server restart", change.key)
    return state, reload


def _stamp(state: State) -> tuple[int, int, int] | None:
    """Return what is another with each change of the file; None where there is none."""
    try:
        stat = state.file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino

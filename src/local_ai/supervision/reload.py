"""Take a changed settings file into a running server: checked whole first, then state.json, then the engine.

file ─▶ checked ─▶ compared with state.json ─▶ state.json written ─▶ the engine reads it, and the gateway
└ a mistake: nothing changes
"""

from __future__ import annotations

import http.client
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.settings.exposure import check_exposure
from local_ai.settings.state import State, write_state
from local_ai.unix_http import exchange

if TYPE_CHECKING:
    from local_ai.settings.load import Loaded
    from local_ai.settings.reload import Reload

_ENGINE_S = 5.0  # to answer; it answers at once, but where it does not, it reads them with its next start


def load_for(state: State, *, config_file: Path | None = None) -> Loaded:
    """Load the settings as a restart would: what the start was given wins over the file.

    Args:
        config_file: Read in place of the start's own file.

    Raises:
        ConfigError: Something in the file is wrong.
    """
    from local_ai.settings.load import load_again

    is_there = state.given.file or os.path.isfile(state.file)
    file = config_file or (state.file if is_there else None)
    loaded, _kept = load_again(state.given.values, config_path=file, paths=state.paths, environ={})
    return loaded


def reload_settings(state: State) -> tuple[State, Reload]:
    """Read the settings file of the last start again, and change what can change in place.

    What the start was given by command line or environment stays.

    Returns:
        What state.json holds now, and what has changed.

    Raises:
        ConfigError: Something in the file is wrong; nothing was changed.
    """
    from local_ai.settings.reload import compare

    loaded = load_for(state)
    reload = compare(state.settings, loaded.settings)
    check_exposure(reload.settings.server)
    if not reload.changed:
        return state, reload
    given = replace(state.given, file=loaded.file)
    state = replace(state, settings=reload.settings, given=given, revision=state.revision + 1)
    write_state(state, state.paths.state_file)
    with suppress(OSError, http.client.HTTPException):  # it does not run, or is busy starting
        exchange(state.paths.engine_socket, "/reload", timeout_s=_ENGINE_S, body=b"")
    return state, reload

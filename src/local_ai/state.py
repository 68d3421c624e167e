"""state.json: what a start resolved, for the programs it starts and for later commands.

Programs get their settings from here, so no user text has to pass through supervisord.conf.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from local_ai.errors import ServerError
from local_ai.paths import Paths
from local_ai.settings.schema import REVEAL, LocalAISettings


class State(BaseModel):
    """One start: its settings and where its files and sockets lie."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str
    python: Path
    settings: LocalAISettings
    config_dir: Path
    state_dir: Path
    data_dir: Path
    hub_cache: Path
    supervisor_socket: Path
    engine_socket: Path
    default_model: str | None = None  # id of what a start chose where `model.path` is not set

    @property
    def paths(self) -> Paths:
        return Paths(
            config_dir=self.config_dir,
            state_dir=self.state_dir,
            data_dir=self.data_dir,
            hub_cache=self.hub_cache,
        ).with_model_folders(self.settings.models.paths)


def make_state(settings: LocalAISettings, paths: Paths) -> State:
    """Describe a start by this version and this Python interpreter."""
    return State(
        version=version("local-ai"),
        python=Path(sys.executable),
        settings=settings,
        config_dir=paths.config_dir,
        state_dir=paths.state_dir,
        data_dir=paths.data_dir,
        hub_cache=paths.hub_cache,
        supervisor_socket=paths.supervisor_socket,
        engine_socket=paths.engine_socket,
    )


def write_state(state: State, file: Path) -> None:
    """Write atomically, readable by the owner alone."""
    write_private(file, state.model_dump_json(indent=2, context=REVEAL) + "\n")


def read_state(file: Path) -> State:
    """Read what the last start resolved.

    Raises:
        ServerError: The file is missing or not ours to understand; a start writes it anew.
    """
    try:
        return State.model_validate(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "its content is not what a start writes"
        raise ServerError(
            "what the last start left cannot be read",
            why=f"{file}: {reason}",
            fix="inv server.start",
        ) from exc


def write_private(file: Path, text: str) -> None:
    """Replace a file in one step, with mode 0600 whatever the umask; a full disk keeps the old one."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

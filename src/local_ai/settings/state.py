"""state.json: what a start resolved, for the programs it starts and for later commands.

Programs get their settings from here, so no user text has to pass through supervisord.conf.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.entry import DEFAULT, current_entry
from local_ai.errors import ServerError
from local_ai.settings.paths import Paths
from local_ai.settings.record import read_record, to_plain

if TYPE_CHECKING:
    from local_ai.settings.schema import LocalAISettings

_PATHS = (
    "python",
    "config_dir",
    "state_dir",
    "data_dir",
    "hub_cache",
    "supervisor_socket",
    "engine_socket",
)


@dataclass(frozen=True)
class State:
    """One start: its settings and where its files and sockets lie."""

    version: str
    python: Path
    settings: LocalAISettings  # as a record: see settings/record.py
    config_dir: Path
    state_dir: Path
    data_dir: Path
    hub_cache: Path
    supervisor_socket: Path
    engine_socket: Path
    entry: str = DEFAULT  # how it was started, as people type it (see entry.py)
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
    from importlib.metadata import version

    from local_ai.settings.schema import REVEAL

    return State(
        version=version("local-ai"),
        python=Path(sys.executable),
        settings=read_record(settings.model_dump(mode="json", context=REVEAL)),
        config_dir=paths.config_dir,
        state_dir=paths.state_dir,
        data_dir=paths.data_dir,
        hub_cache=paths.hub_cache,
        supervisor_socket=paths.supervisor_socket,
        engine_socket=paths.engine_socket,
        entry=current_entry(),
    )


def write_state(state: State, file: Path) -> None:
    """Write atomically, readable by the owner alone."""
    plain = {
        "version": state.version,
        "settings": to_plain(state.settings, reveal_secrets=True),
        "entry": state.entry,
        "default_model": state.default_model,
        **{name: str(getattr(state, name)) for name in _PATHS},
    }
    write_private(file, json.dumps(plain, indent=2) + "\n")


def read_state(file: Path) -> State:
    """Read what the last start resolved.

    Raises:
        ServerError: The file is missing or not ours to understand; a start writes it anew.
    """
    try:
        raw = json.loads(file.read_text("utf-8"))
        return State(
            version=raw["version"],
            settings=read_record(raw["settings"]),
            entry=str(raw.get("entry", DEFAULT)),  # an older version wrote none
            default_model=raw.get("default_model"),
            **{name: Path(raw[name]) for name in _PATHS},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "its content is not what a start writes"
        raise ServerError(
            "what the last start left cannot be read",
            why=f"{file}: {reason}",
            fix="local-ai server start",
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

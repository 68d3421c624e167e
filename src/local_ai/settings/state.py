"""state.json: what a start resolved, for the programs it starts and for later commands.

Programs get their settings from here, so no user text has to pass through supervisord.conf. `status`, `stop`
and `logs` read no more than a `Target`, without the settings' schema: its import would double what they cost.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_ai.atomic_file import replace_file
from local_ai.entry import DEFAULT, current_entry
from local_ai.errors import ServerError
from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths

if TYPE_CHECKING:
    from local_ai.settings.schema import LocalAISettings

_MODEL_FOLDERS = ("data_dir", "hub_cache", "cache_dir")
_FOLDERS = ("config_dir", "state_dir", *_MODEL_FOLDERS)
_SOCKETS = ("supervisor_socket", "engine_socket")  # as older versions read them


@dataclass(frozen=True)
class Given:
    """The settings given to a start by hand: a restart from another shell keeps them."""

    values: dict[str, Any] = field(default_factory=dict)  # of command line and environment, by key
    config: str | None = None  # the file that --config named
    file: str | None = None  # the file that was read


@dataclass(frozen=True)
class State:
    """One start: its settings and where its files and sockets are."""

    version: str
    python: Path
    settings: LocalAISettings
    paths: Paths  # with the folders of `models.paths`
    entry: str = DEFAULT  # how it was started, as people type it (see entry.py)
    omni_parts: tuple[str, ...] = ()  # what the program `omni` can do; without any, it is not run
    default_model: str | None = None  # id of what a start chose where `model.path` is not set
    given: Given = field(default_factory=Given)
    revision: int = 0  # how often its settings were changed while it ran

    @property
    def file(self) -> Path:
        """The settings file; the user's own, which may not be there, where the start read none."""
        return Path(self.given.file) if self.given.file else self.paths.config_file


@cache
def own_version() -> str:
    """Return this local-ai's version: the one that runs, also where another is installed meanwhile."""
    from importlib.metadata import version  # what `status` needs is in state.json

    return version("local-ai")


def make_state(settings: LocalAISettings, paths: Paths) -> State:
    """Describe a start by this version and this Python interpreter."""
    return State(
        version=own_version(),
        python=Path(sys.executable),
        settings=settings,
        paths=paths.with_model_folders(settings.models.paths),
        entry=current_entry(),
    )


def write_state(state: State, file: Path) -> None:
    """Write atomically, readable by the owner alone."""
    from local_ai.settings.schema import REVEAL

    plain = {
        "version": state.version,
        "python": str(state.python),
        "settings": state.settings.model_dump(mode="json", context=REVEAL),
        "entry": state.entry,
        "omni_parts": state.omni_parts,
        "default_model": state.default_model,
        "given": asdict(state.given),
        "revision": state.revision,
        **{name: str(getattr(state.paths, name)) for name in (*_FOLDERS, *_SOCKETS)},
    }
    write_private(file, json.dumps(plain, indent=2) + "\n")


def read_state(file: Path) -> State:
    """Read what the last start resolved.

    An older version's start may have written settings that are gone, and left out those that are new.

    Raises:
        ServerError: The file is missing or not ours to understand; the next start writes it again.
    """
    try:
        raw = json.loads(read_regular(file))
        settings = _known_settings(raw["settings"])
        raw.setdefault("cache_dir", f"{raw['data_dir']}/cache")  # an older version named none
        folders: dict[str, Any] = {name: Path(raw[name]) for name in _FOLDERS}
        return State(
            version=raw["version"],
            python=Path(raw["python"]),
            settings=settings,
            paths=Paths(**folders).with_model_folders(settings.models.paths),
            entry=str(raw.get("entry", DEFAULT)),  # an older version wrote none
            omni_parts=tuple(raw.get("omni_parts", ())),
            default_model=raw.get("default_model"),
            given=Given(**raw.get("given", {})),
            revision=int(raw.get("revision", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "its content is not what a start writes"
        raise ServerError(
            "the record of the last start cannot be read",
            why=f"{file}: {reason}",
            command="local-ai server start",
        ) from exc


def _known_settings(raw: dict[str, Any]) -> LocalAISettings:
    """Read settings, without those that are none here."""
    from pydantic import ValidationError

    from local_ai.settings.schema import LocalAISettings

    try:
        return LocalAISettings.model_validate(raw)
    except ValidationError as exc:
        unknown = [each["loc"] for each in exc.errors() if each["type"] == "extra_forbidden"]
    for *sections, name in unknown:
        table = raw
        for section in sections:
            table = table[str(section)]
        del table[str(name)]
    return LocalAISettings.model_validate(raw)


@dataclass(frozen=True)
class Target:
    """A server's address, model and folders."""

    host: str
    port: int
    model_path: str | None  # `model.path`
    version: str  # of the local-ai that started it, else of this one
    model_folders: tuple[str, ...] = ()  # `models.paths`
    drain_s: float = 0.0  # `server.drain_s`
    max_crashes: int = 3  # `engine.max_crashes`
    default_model: str | None = None  # what the start chose where `model.path` is not set
    # By their names in `Paths`, of the server that runs; where it has none, those of the shell count.
    folders: Mapping[str, Any] = field(default_factory=dict)

    def at(self, paths: Paths) -> Paths:
        """Return paths with the folders of this server instead of the shell's."""
        return replace(paths, **self.folders)


def target_of(settings: LocalAISettings, *, default_model: str | None = None) -> Target:
    """Name the server that these settings start, or would start."""
    return Target(
        settings.server.host,
        settings.server.port,
        settings.model.path,
        own_version(),
        tuple(map(str, settings.models.paths)),
        settings.server.drain_s,
        settings.engine.max_crashes,
        default_model,
    )


def read_given(state_file: Path) -> Given:
    """Return what the last start was given by hand; nothing where that cannot be read."""
    try:
        return Given(**json.loads(read_regular(state_file))["given"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Given()


def read_target(state_file: Path) -> Target | None:
    """Name the server that was last started; None if there is none, or its record cannot be read."""
    try:
        state: Any = json.loads(read_regular(state_file))
        settings = state["settings"]
        server = settings["server"]
        return Target(
            str(server["host"]),
            int(server["port"]),
            settings["model"]["path"],
            str(state["version"]),
            tuple(map(str, settings.get("models", {}).get("paths", ()))),
            # One that an older version started knows nothing of it.
            float(server.get("drain_s", 0)),
            # An older one's record has none.
            int(settings["engine"].get("max_crashes", 3)),
            state.get("default_model"),
            {name: Path(state[name]) for name in _MODEL_FOLDERS if name in state},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def running_paths(paths: Paths) -> Paths:
    """Return the paths of the server that runs with this state folder; these, where none runs.

    It was started where XDG_DATA_HOME, XDG_CACHE_HOME or HF_HOME may have been others.
    """
    target = read_target(paths.state_file) if os.path.exists(paths.supervisor_socket) else None
    return target.at(paths) if target else paths


def write_private(file: Path, text: str) -> None:
    """Replace a file in one step, with mode 0600 whatever the umask; a full disk keeps the old one."""
    replace_file(file, [text.encode()])

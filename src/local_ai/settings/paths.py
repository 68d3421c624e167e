"""Paths on disk, by the XDG base directory rules. The only reader of `XDG_*` and `HF_*`.

Source: https://specifications.freedesktop.org/basedir-spec/latest/ (a relative path in a variable is
ignored); the hub cache follows huggingface_hub's documented environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

# supervisord first binds "<socket>.<pid>", and a socket's path may have 104 bytes on macOS, 108 on Linux.
MAX_SOCKET_PATH_BYTES = 90


@dataclass(frozen=True)
class Paths:
    """The folders and files of one installation; nothing is created by naming them."""

    config_dir: Path
    state_dir: Path
    data_dir: Path
    hub_cache: Path
    cache_dir: Path
    model_folders: tuple[Path, ...] = ()  # `models.paths`: further folders of model folders

    def in_state_dir(self, state_dir: Path) -> Paths:
        """Return the same with another state directory."""
        return replace(self, state_dir=state_dir)

    @property
    def config_file(self) -> Path:
        return self.config_dir / "config.toml"

    @property
    def models_dir(self) -> Path:
        """Our own model folders, the prepared starter model among them."""
        return self.data_dir / "models"

    @property
    def omni_dir(self) -> Path:
        """The environment of speech, transcription and images; there once one of them is installed."""
        return self.data_dir / "omni"

    def with_model_folders(self, folders: Iterable[str | Path]) -> Paths:
        """Look for models in these folders too; "~" is the home of the user who runs it."""
        # Not Path.expanduser: it raises for a user that does not exist.
        expanded = (Path(os.path.expanduser(folder)) for folder in folders)  # noqa: PTH111
        return replace(self, model_folders=tuple(expanded))

    @property
    def conf(self) -> Path:
        return self.state_dir / "supervisord.conf"

    @property
    def state_file(self) -> Path:
        """The resolved settings that the programs read (0600)."""
        return self.state_dir / "state.json"

    @property
    def supervisord_pid(self) -> Path:
        return self.state_dir / "supervisord.pid"

    @property
    def engine_pid(self) -> Path:
        """The engine's pid while it runs, for scripts."""
        return self.state_dir / "server.pid"

    @property
    def codex_catalogue(self) -> Path:
        """The model that Codex was last launched with, as Codex lists models."""
        return self.state_dir / "codex-models.json"

    @property
    def lock(self) -> Path:
        """Held while a start or stop is under way."""
        return self.state_dir / "lifecycle.lock"

    @property
    def killed_pid(self) -> Path:
        """The pid of a supervisord that a stop ended by signal, for its start in the foreground to know."""
        return self.state_dir / "killed.pid"

    @property
    def logs_dir(self) -> Path:
        return self.state_dir / "logs"

    def log(self, program: str) -> Path:
        return self.logs_dir / f"{program}.log"

    @property
    def socket_dir(self) -> Path:
        """The state directory, or a short private folder where that path is too long for a socket."""
        longest = os.fsencode(self.state_dir / "supervisord.sock")
        if len(longest) <= MAX_SOCKET_PATH_BYTES:
            return self.state_dir
        import hashlib  # seldom needed, and never cheap

        digest = hashlib.sha256(os.fsencode(self.state_dir)).hexdigest()[:12]
        return Path(f"/tmp/local-ai-{os.getuid()}-{digest}")

    @property
    def supervisor_socket(self) -> Path:
        return self.socket_dir / "supervisord.sock"

    @property
    def engine_socket(self) -> Path:
        return self.socket_dir / "engine.sock"

    @property
    def omni_socket(self) -> Path:
        return self.socket_dir / "omni.sock"


def current_folder() -> Path | None:
    """Return the folder that the command runs in; None where it is gone, or may not be entered."""
    try:
        here = Path.cwd()
    except OSError:
        return None
    return here if os.access(here, os.X_OK) else None


def find_paths(environ: Mapping[str, str] = os.environ) -> Paths:
    """Read the XDG and hub variables, with their documented defaults.

    Returns:
        Absolute paths; none of them needs to exist.
    """
    home = Path(environ.get("HOME") or Path.home())

    def folder(variable: str, default: Path) -> Path:
        value = environ.get(variable, "")
        return Path(value) if value.startswith("/") else default

    hf_home = folder("HF_HOME", folder("XDG_CACHE_HOME", home / ".cache") / "huggingface")
    return Paths(
        config_dir=folder("XDG_CONFIG_HOME", home / ".config") / "local-ai",
        state_dir=folder("XDG_STATE_HOME", home / ".local/state") / "local-ai",
        data_dir=folder("XDG_DATA_HOME", home / ".local/share") / "local-ai",
        hub_cache=folder("HF_HUB_CACHE", hf_home / "hub"),
        cache_dir=folder("XDG_CACHE_HOME", home / ".cache") / "local-ai",
    )

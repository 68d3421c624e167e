"""Where to look for a server: what later commands need of the last start.

Read without the settings' schema, whose import alone would double what `status` costs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_ai.settings.schema import LocalAISettings


@dataclass(frozen=True)
class Target:
    """A server's address and model."""

    host: str
    port: int
    model_path: str | None  # `model.path`
    version: str  # of the local-ai that started it, else of this one
    model_folders: tuple[str, ...] = ()  # `models.paths`
    drain_s: float = 0.0  # `server.drain_s`
    max_crashes: int = 3  # `engine.max_crashes`
    default_model: str | None = None  # what the start chose where `model.path` is not set


def target_of(settings: LocalAISettings, *, default_model: str | None = None) -> Target:
    """Name the server that these settings start, or would start.

    Args:
        default_model: What its start chose, if it was started.
    """
    from importlib.metadata import version

    return Target(
        settings.server.host,
        settings.server.port,
        settings.model.path,
        version("local-ai"),
        tuple(map(str, settings.models.paths)),
        settings.server.drain_s,
        settings.engine.max_crashes,
        default_model,
    )


def read_target(state_file: Path) -> Target | None:
    """Name the server that was last started; None if there is none, or its record cannot be read."""
    try:
        state: Any = json.loads(state_file.read_bytes())
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
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None

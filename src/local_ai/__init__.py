"""local-ai: one local endpoint for large language models, managed like a service.

from local_ai import LocalAISettings, ServerManager, load_config
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_ai.errors import ConfigError, HealthCheckError, LocalAIError, ServerError
    from local_ai.lifecycle.manager import ServerManager
    from local_ai.lifecycle.results import ServerStatus, StartResult, StopResult
    from local_ai.settings.load import load_config
    from local_ai.settings.schema import LocalAISettings

__all__ = [
    "ConfigError",
    "HealthCheckError",
    "LocalAIError",
    "LocalAISettings",
    "ServerError",
    "ServerManager",
    "ServerStatus",
    "StartResult",
    "StopResult",
    "load_config",
]

_HOMES = {
    "LocalAISettings": "local_ai.settings.schema",
    "ServerManager": "local_ai.lifecycle.manager",
    "load_config": "local_ai.settings.load",
    **dict.fromkeys(("ConfigError", "HealthCheckError", "LocalAIError", "ServerError"), "local_ai.errors"),
    **dict.fromkeys(("ServerStatus", "StartResult", "StopResult"), "local_ai.lifecycle.results"),
}


def __getattr__(name: str) -> Any:
    # Imported when first used: every program and command of ours passes through here, and most need little.
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

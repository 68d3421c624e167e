"""The content of a problem report: versions, settings without secrets, states, last log lines."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings
from local_ai.status.report import Report
from local_ai.supervision.log_files import tail
from local_ai.supervision.program import LOG_NAMES

_PACKAGES = ("local-ai", "mlx", "mlx-lm", "mlx-omni-server", "supervisor", "starlette", "uvicorn")
_SECRET_WORDS = ("key", "secret", "password", "credential")
_LINES = 40


def gather(settings: LocalAISettings, paths: Paths, report: Report, *, lines: int = _LINES) -> dict[str, Any]:
    """Gather it all; reads the ends of the logs.

    Args:
        lines: Most of each log.
    """
    return {
        "versions": {
            "python": platform.python_version(),
            "system": platform.platform(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "settings": without_secrets(settings.model_dump(mode="json")),
        "status": report.to_json(),
        "logs": {name: tail(paths.log(name), lines=lines) for name in LOG_NAMES},
    }


def without_secrets(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the values of secret ones hidden, at any depth."""
    return {name: _hidden(name, value) for name, value in settings.items()}


def _hidden(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return without_secrets(value)
    is_secret = any(word in name for word in _SECRET_WORDS)
    return "(hidden)" if is_secret and value else value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

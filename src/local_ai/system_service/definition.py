"""The service's definition: the command, its environment, and the time it may take to end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_ai.errors import ConfigError

# Where files lie, and where models are found: the service must see what this shell sees.
_KEPT = ("HOME", "PATH", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
_KEPT_HUB = ("HF_HOME", "HF_HUB_CACHE")
_OWN = "LOCAL_AI_"
# supervisord waits 15 s for a program to end (supervision/plan.py), after the answers that finish first.
_STOP_MARGIN_S = 30


@dataclass(frozen=True)
class ServiceDefinition:
    """A server for the system to run."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    log: Path  # for what the start itself says; launchd alone needs one
    stop_s: int  # SIGTERM to SIGKILL, in seconds


def define(
    python: str,
    environ: Mapping[str, str],
    *,
    config: Path | None,
    log: Path,
    drain_s: float,
) -> ServiceDefinition:
    """Describe the service that starts this installation's server with its settings.

    Args:
        python: This installation's interpreter.
        environ: Of the shell that installs it.
        config: The settings file, if one is named.
        log: Where a failed start leaves its words.
        drain_s: `server.drain_s`, in seconds.

    Raises:
        ConfigError: A setting is in the environment, which the service does not see.
    """
    if own := sorted(name for name in environ if name.startswith(_OWN)):
        raise ConfigError(
            "the service was not installed",
            why=f"{', '.join(own)} {'is' if len(own) == 1 else 'are'} set in this shell, and a service does "
            "not see it",
            fix="write these settings into config.toml (local-ai config init), unset them, and try again",
        )
    words = (python, "-P", "-m", "local_ai", "server.start", "--foreground", "--timeout", "3600")
    return ServiceDefinition(
        command=words + (("--config", str(config)) if config else ()),
        environment=tuple((name, environ[name]) for name in (*_KEPT, *_KEPT_HUB) if environ.get(name)),
        log=log,
        stop_s=round(drain_s) + _STOP_MARGIN_S,
    )

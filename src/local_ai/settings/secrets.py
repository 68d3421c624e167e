"""The secrets that this machine's settings and environment hold, and texts without them."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
# In a settings file, which may be broken: the value up to its closing bracket or the line's end.
_KEYS = re.compile(r"""["']?api_keys?["']?\s*[=:]\s*(\[[^\]]*\]?|[^\n]*)""")
_QUOTED = re.compile(r"""["']([^"'\n]+)["']""")
_LEAST = 4  # letters; a shorter one is part of ordinary words
_HIDDEN = "(hidden)"


def find_secrets(
    settings: LocalAISettings,
    paths: Paths,
    config_file: Path | None,
    environ: Mapping[str, str] = os.environ,
) -> set[str]:
    """Collect what must not leave this machine: API keys, tokens, passwords, of any program.

    Args:
        settings: The defaults, where the settings are wrong: their file is read as text too.
        config_file: The file that they are read from.
    """
    found = {key.get_secret_value() for key in settings.server.api_keys}
    found |= {peer.api_key.get_secret_value() for peer in settings.peers if peer.api_key}
    found |= {value for name, value in environ.items() if _SECRET_NAME.search(name)}
    found |= {part for value in list(found) for part in re.split(r"[,\s]+", value)}
    for name, value in environ.items():
        if name.lower().endswith("_proxy") or "://" in value:
            found |= set(_passwords(value))
    for file in (paths.state_file, paths.config_file, config_file):
        found |= set(_keys_in(file)) if file else set()
    found |= set(_token_of(paths))
    return {secret for secret in found if len(secret) >= _LEAST}


def hide(value: Any, secrets: Iterable[str]) -> Any:
    """Return a text, or a JSON value, in whose texts each secret is hidden."""
    if isinstance(value, Mapping):
        return {hide(name, secrets): hide(inner, secrets) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [hide(inner, secrets) for inner in value]
    if isinstance(value, str):
        for secret in sorted(secrets, key=len, reverse=True):
            value = value.replace(secret, _HIDDEN)
    return value


def _passwords(address: str) -> Iterator[str]:
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        yield password


def _keys_in(file: Path) -> Iterator[str]:
    try:
        text = read_regular(file).decode("utf-8", "replace")
    except OSError:
        return
    for value in _KEYS.findall(text):
        yield from _QUOTED.findall(value)


def _token_of(paths: Paths) -> Iterator[str]:
    """Yield the hub's token, where `hf auth login` keeps it."""
    try:
        yield read_regular(paths.hub_cache.parent / "token").decode().strip()
    except (OSError, UnicodeDecodeError):
        return

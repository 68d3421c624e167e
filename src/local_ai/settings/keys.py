"""Keys of settings as text: "server.port", models."org/Name-1.5".temperature, quoted as in TOML. Pure.

Source: https://toml.io/en/v1.0.0#keys.
"""

import json
import re
from collections.abc import Iterable

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[^."]+')


def as_key(name: object) -> str:
    """Write one part of a key; in quotes, where its characters need them."""
    text = str(name)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def join_key(parts: Iterable[object]) -> str:
    """Write a key from its parts."""
    return ".".join(as_key(part) for part in parts)


def split_key(key: str) -> list[str]:
    """Return a key's parts, unquoted."""
    return [str(json.loads(part)) if part.startswith('"') else part for part in _PART.findall(key)]

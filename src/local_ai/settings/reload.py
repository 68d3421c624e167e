"""The effect of a changed settings file on a running server: in place, or after a restart. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_ai.settings.load import flatten, nest
from local_ai.settings.schema import REVEAL, LocalAISettings

_TABLES = ("cache.", "generation.", "models.", "power.", "routing.", "vision.", "config.")
_KEYS = (
    "aliases", "gateway.max_concurrency", "gateway.max_queue", "gateway.wait_for_engine_s",
    "model.idle_unload_s", "peers", "server.api_keys", "server.drain_s", "server.log_level",
)  # fmt: skip
_RESTARTS = ("models.paths",)


@dataclass(frozen=True)
class Change:
    """One setting that has another value now; keys of clients are masked."""

    key: str
    before: Any  # None: it was not set
    after: Any  # None: it is not set any more


@dataclass(frozen=True)
class Reload:
    """The effect of a changed file on a running server."""

    settings: LocalAISettings  # what the running server should have now
    changed: tuple[Change, ...]  # in place
    needs_restart: tuple[Change, ...]  # as before until then


def compare(running: LocalAISettings, wanted: LocalAISettings) -> Reload:
    """Find what has changed, and take over what can change in place."""
    old, new = (flatten(each.model_dump(context=REVEAL)) for each in (running, wanted))
    changed = [key for key in dict.fromkeys((*old, *new)) if old.get(key) != new.get(key)]
    settled = {key: value for key, value in old.items() if not changes_in_place(key)}
    settled |= {key: value for key, value in new.items() if changes_in_place(key)}
    return Reload(
        LocalAISettings.model_validate(nest(settled)),
        tuple(_changes((key for key in changed if changes_in_place(key)), running, wanted)),
        tuple(_changes((key for key in changed if not changes_in_place(key)), running, wanted)),
    )


def changes_in_place(key: str) -> bool:
    """Return True if a running server takes a change of this setting."""
    return key not in _RESTARTS and (key in _KEYS or key.startswith(_TABLES))


def _changes(keys: Iterator[str], running: LocalAISettings, wanted: LocalAISettings) -> Iterator[Change]:
    before, after = (flatten(each.model_dump(mode="json")) for each in (running, wanted))
    after["peers"] = _with_other_keys(after["peers"], running, wanted)
    for key in keys:
        yield Change(key, before.get(key), after.get(key))


def _with_other_keys(
    peers: list[dict[str, Any]], running: LocalAISettings, wanted: LocalAISettings
) -> list[dict[str, Any]]:
    """Say of which peers the key is another one: keys are masked, and look the same."""
    before, now = ({peer.name: peer.api_key for peer in each.peers} for each in (running, wanted))
    return [
        peer | {"api_key": f"{peer['api_key']} (another key)"}
        if peer["api_key"] and before.get(peer["name"]) not in (None, now[peer["name"]])
        else peer
        for peer in peers
    ]

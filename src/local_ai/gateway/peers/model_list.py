"""A peer's answer at `/v1/models`, which may be anything: bounded, and checked name by name. Pure."""

from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

MOST_BYTES = 1024 * 1024
MOST_MODELS = 1000
_MOST_NAME = 200  # characters
_MOST_CONTEXT = 1_000_000_000  # tokens
_LAST_SECOND = 253_402_300_799  # of the year 9999, which dates end with
# As local-ai, vLLM and llama.cpp call it.
_CONTEXT_NAMES = ("context_length", "max_model_len", "n_ctx")


@dataclass(frozen=True)
class PeerModel:
    """One model of a peer."""

    id: str  # its own name for it
    created: int  # seconds since 1970
    context_tokens: int | None
    sees: bool = False  # it says that it takes pictures


def read_models(body: bytes) -> tuple[PeerModel, ...]:
    """Read the models that are the peer's own, in its order; no name twice.

    A name with an "@" is left out: it may be another peer's model, which only that one's settings can reach.
    So is a name that cannot be shown as it is, or is too long to be one.

    Raises:
        ValueError: It is no such list.
    """
    listed = from_json(body, allow_inf_nan=False)
    data = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(data, list):
        raise ValueError("it has no list called data")
    found: dict[str, PeerModel] = {}
    for entry in data:
        if len(found) == MOST_MODELS:
            break
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and _is_name(name):
            found.setdefault(name, _read_model(name, entry))
    return tuple(found.values())


def _is_name(name: str) -> bool:
    is_text = 0 < len(name) <= _MOST_NAME and name.isprintable() and name == name.strip()
    return is_text and "@" not in name


def _read_model(name: str, entry: dict[str, Any]) -> PeerModel:
    contexts = [_whole(entry.get(key), _MOST_CONTEXT) for key in _CONTEXT_NAMES]
    return PeerModel(
        id=name,
        created=_whole(entry.get("created"), _LAST_SECOND) or 0,
        context_tokens=next(filter(None, contexts), None),
        sees=isinstance(takes := entry.get("input_modalities"), list) and "image" in takes,
    )


def _whole(value: Any, most: int) -> int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value <= most else None

"""The plan of a pull: its files, and whether this machine has the memory and the disk for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_ai.errors import LocalAIError
from local_ai.models.memory import model_bytes, working_set_bytes
from local_ai.pull.download import SPARE_DISK_BYTES, free_disk_bytes, missing_bytes
from local_ai.pull.hub import DEFAULT_REVISION, Remote, ask_hub
from local_ai.status.figures import size_in_words

_NOT_DONE = "the model was not downloaded"


@dataclass(frozen=True)
class Plan:
    """A pull that may begin."""

    remote: Remote
    missing_bytes: int


def plan_pull(
    name: str,
    revision: str | None,
    hub_cache: Path,
    *,
    even_if_too_large: bool,
    warn: Callable[[str], None],
) -> Plan:
    """Ask the hub for a model, and check that there is room for it.

    Args:
        name: ORG/NAME, or ORG/NAME@REVISION.
        revision: A branch, tag or commit; None for the one in the name, or main.
        even_if_too_large: Only warn of a model that is larger than this machine's memory.

    Raises:
        LocalAIError: The hub has no such model, or this machine has no room for it.
    """
    name, _, part = name.strip().partition("@")
    remote = ask_hub(name, revision or part or None)
    missing = missing_bytes(remote, hub_cache)
    if too_large := _too_large(remote):
        if not even_if_too_large:
            raise LocalAIError(
                _NOT_DONE,
                why=too_large,
                fix="take a smaller one, or one with fewer bits; to download it anyway: "
                f"{pull_command(remote)} --even-if-too-large",
            )
        warn(f"{too_large}; it is downloaded anyway")
    _check_disk(remote, missing, hub_cache)
    return Plan(remote, missing)


def pull_command(remote: Remote) -> str:
    """Write the command that pulls a model, or goes on with it."""
    option = "" if remote.revision == DEFAULT_REVISION else f" --revision {remote.revision}"
    return f"local-ai models pull {remote.name}{option}"


def _too_large(remote: Remote) -> str:
    """Say that the weights are larger than what the machine has for them; "" where they are not."""
    most = model_bytes()
    if sys.platform == "darwin" and (limit := working_set_bytes()):  # elsewhere mlx need not be imported
        most = min(most, limit)
    if remote.weight_bytes <= most:
        return ""
    return (
        f"the weights of {remote.name} need {size_in_words(remote.weight_bytes)} of memory, and this "
        f"machine can give {size_in_words(most)} to models"
    )


def _check_disk(remote: Remote, missing: int, hub_cache: Path) -> None:
    free = free_disk_bytes(hub_cache)
    if not missing or missing + SPARE_DISK_BYTES <= free:
        return
    raise LocalAIError(
        _NOT_DONE,
        why=f"{size_in_words(missing)} are still to be downloaded (and "
        f"{size_in_words(SPARE_DISK_BYTES)} should stay free), and the disk of {hub_cache} has "
        f"{size_in_words(free)} free",
        fix="free some space (local-ai models list, local-ai models remove NAME), or set HF_HUB_CACHE to a "
        "folder on a larger disk, then run",
        command=pull_command(remote),
    )

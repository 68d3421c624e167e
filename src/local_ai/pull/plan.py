"""The plan of a pull: its files, and whether this machine has the memory and the disk for them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_ai.models.memory import loadable_bytes
from local_ai.pull.download import SPARE_DISK_BYTES, free_disk_bytes, missing_bytes
from local_ai.pull.hub import DEFAULT_REVISION, Remote, ask_hub, not_downloaded
from local_ai.settings.schema import ModelsSettings
from local_ai.status.figures import size_in_words, why_too_large


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
    settings: ModelsSettings,
    even_if_too_large: bool,
    warn: Callable[[str], None],
) -> Plan:
    """Ask the hub for a model, and check that there is room for it.

    Args:
        name: ORG/NAME, or ORG/NAME@REVISION.
        revision: A branch, tag or commit; None for the one in the name, or main.
        settings: `[models]`.
        even_if_too_large: Only warn of a model that does not fit this machine, as `fit_check` = false does.

    Raises:
        LocalAIError: The hub has no such model, or this machine has no room for it.
    """
    name, _, part = name.strip().partition("@")
    remote = ask_hub(name, revision or part or None)
    missing = missing_bytes(remote, hub_cache)
    too_large = why_too_large(remote.weight_bytes, loadable_bytes(settings))
    if too_large:
        too_large = f"{remote.name} does not fit: {too_large}"
        if settings.fit_check and not even_if_too_large:
            raise not_downloaded(
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


def _check_disk(remote: Remote, missing: int, hub_cache: Path) -> None:
    free = free_disk_bytes(hub_cache)
    if not missing or missing + SPARE_DISK_BYTES <= free:
        return
    raise not_downloaded(
        why=f"{size_in_words(missing)} are still to be downloaded (and "
        f"{size_in_words(SPARE_DISK_BYTES)} should stay free), and the disk of {hub_cache} has "
        f"{size_in_words(free)} free",
        fix="free some space (local-ai models list, local-ai models remove NAME), or set HF_HUB_CACHE to a "
        "folder on a larger disk, then run",
        command=pull_command(remote),
    )

"""Remove models from the hub cache and our own folder; folders of other programs are refused."""

import errno
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from local_ai.errors import ConfigError, LocalAIError
from local_ai.models.places import repository_of
from local_ai.models.prompt_files import clear_prompts, prompts_below, prompts_dir
from local_ai.settings.paths import Paths

_NOT_DONE = "the model was not removed"


@dataclass(frozen=True)
class Removal:
    """The folders and files that would be removed."""

    is_link: bool  # in our own folder
    folder: Path  # that goes: the repository's in the hub cache, the model's own, or the link
    commits: tuple[str, ...]  # of the hub cache, those that go beside others; empty where all of it does
    size_bytes: int  # that its disk gets back


def plan_removal(name: str, folder: Path, paths: Paths) -> Removal:
    """Find out what removing a model means, by its place.

    Raises:
        ConfigError: It is in a folder that local-ai must not change.
    """
    if repository := repository_of(folder, paths):
        return _plan_cached(name, repository, folder)
    if folder.parent == paths.models_dir:
        is_link = folder.is_symlink()
        return Removal(is_link, folder, (), 0 if is_link else _size_of(folder))
    raise ConfigError(
        _NOT_DONE,
        why=f"{name} is in {folder}, which local-ai only reads",
        fix=f"remove that folder with the program that made it, or by hand: rm -r {folder}",
    )


def refuse_if_used(
    name: str, folder: Path, *, in_memory: Collection[str | None], settings: str | None, server: str | None
) -> None:
    """Refuse to remove a model that is in use.

    Args:
        in_memory: Names of models that the running server has in memory or is loading.
        settings: `model.path` of the settings.
        server: `model.path` of the running server.

    Raises:
        LocalAIError: It is in memory, or a default.
    """
    if name in in_memory:
        raise LocalAIError(
            _NOT_DONE,
            why=f"the running server has {name} in memory",
            fix=f"local-ai models unload {name} (or local-ai server stop), then run the same command again",
        )
    for value, whose in ((settings, "the settings"), (server, "the running server")):
        if value is not None and value in (name, str(folder)):
            raise LocalAIError(
                _NOT_DONE,
                why=f"it is the default model of {whose} (model.path)",
                fix="make another one the default first: local-ai models use NAME"
                + ("" if whose == "the settings" else ", then: local-ai server restart"),
            )


def remove(removal: Removal, paths: Paths) -> None:
    """Remove it, and what is remembered of its prompts on disk.

    Raises:
        LocalAIError: A file cannot be removed.
    """
    try:
        if removal.is_link:
            removal.folder.unlink()
        elif removal.commits:
            _remove_revisions(removal, paths)
        else:
            shutil.rmtree(removal.folder)
        if removal.folder.exists():  # huggingface_hub logs what it cannot remove
            raise PermissionError(errno.EACCES, "it is still there", str(removal.folder))
        clear_prompts(prompts_below(removal.folder, prompts_dir(paths)))
    except OSError as exc:
        raise LocalAIError(
            "the model was removed in part, or not at all",
            why=f"{exc.filename or removal.folder}: {exc.strerror or exc}",
            fix="correct the permissions there, then run the same command again",
        ) from exc


def _plan_cached(name: str, repository: Path, folder: Path) -> Removal:
    """All of a repository goes, unless the name is that of one revision beside others."""
    if "@" in name and len([*(repository / "snapshots").iterdir()]) > 1:
        from huggingface_hub import scan_cache_dir

        size = scan_cache_dir(repository.parent).delete_revisions(folder.name).expected_freed_size
        return Removal(False, folder, (folder.name,), size)
    return Removal(False, repository, (), _size_of(repository))


def _remove_revisions(removal: Removal, paths: Paths) -> None:
    from huggingface_hub import scan_cache_dir

    scan_cache_dir(paths.hub_cache).delete_revisions(*removal.commits).execute()


def _size_of(folder: Path) -> int:
    """Bytes of the files in a folder, links left out: what they lead to stays, or is counted itself."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())

"""Places of model folders: the hub cache, our own folder, and those of `models.paths`.

    hub cache       models--ORG--NAME/snapshots/COMMIT   named ORG/NAME; another revision ORG/NAME@REVISION
    our own folder  NAME
    models.paths    NAME or ORG/NAME (LM Studio's layout), or the folder of one model

Source: the cache layout is huggingface_hub's documented one ("Understand caching").
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Any

from local_ai.printable import printable
from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths

MOST_JSON_BYTES = 16 * 1024 * 1024  # the largest config.json seen has 100 KB, an index some MB
_MOST_OBJECT_BYTES = 128 * 1024 * 1024  # the largest tokenizer.json seen has 35 MB
_WEIGHTS = ".safetensors"
# LM Studio's name for a download that is under way.
PARTIAL_START = "downloading_"


def candidates(paths: Paths, configured: str | None) -> Iterator[tuple[str, Path]]:
    """Yield every (name, folder) that may hold a model; the better of two with one name first.

    A name is printable, whatever its folder is called, and names the model everywhere.

    Args:
        configured: `model.path`: a folder named there is one too, wherever it is.
    """
    for name, folder in _named_folders(paths, configured):
        yield printable(name), folder


def _named_folders(paths: Paths, configured: str | None) -> Iterator[tuple[str, Path]]:
    # Not Path.expanduser: it raises for a user that does not exist.
    folder = Path(os.path.expanduser(configured)) if configured else None  # noqa: PTH111
    if folder and folder.is_absolute():
        yield folder.name, folder
    for child in _folders(paths.models_dir):
        yield child.name, child
    for repository in _folders(paths.hub_cache):
        kind, _, name = repository.name.partition("--")
        if kind == "models":
            for suffix, snapshot in _snapshots(repository):
                yield name.replace("--", "/") + suffix, snapshot
    for place in paths.model_folders:
        yield from _in_place(place)


def is_weights(name: str) -> bool:
    """Tell by its name whether a file holds weights, all of them."""
    return name.endswith(_WEIGHTS) and not name.startswith(PARTIAL_START)


def read_json(file: Path, *, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """Read a JSON file of a model folder.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON, no regular file, or larger than `most_bytes`.
        RecursionError: It is nested too deeply.
    """
    stat = file.stat()
    if not S_ISREG(stat.st_mode):
        raise ValueError("it is not a regular file")
    if stat.st_size > most_bytes:
        raise ValueError(f"it is larger than {most_bytes} bytes")
    return json.loads(file.read_bytes())


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON object of a model folder; an empty one where there is none, or it has over 128 MiB."""
    try:
        value = read_json(file, most_bytes=_MOST_OBJECT_BYTES)
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def repository_of(folder: Path, paths: Paths) -> Path | None:
    """Return the hub cache's folder that a snapshot belongs to; None for any other folder."""
    return next((parent for parent in (folder, *folder.parents) if parent.parent == paths.hub_cache), None)


def newer_commit(folder: Path, repository: Path) -> str | None:
    """Return the commit that the branch main is at, where a model's folder is an older one; else None."""
    refs = _refs(repository)
    main = refs.get("main")
    return main if main and folder.name not in refs.values() else None


def _snapshots(repository: Path) -> Iterator[tuple[str, Path]]:
    """Yield a repository's snapshots with what follows its name: "", or "@REVISION"."""
    snapshots = repository / "snapshots"
    existing = list(_folders(snapshots))
    if len(existing) < 2:  # nearly always, and then the names of revisions need not be read
        yield "", existing[0] if existing else snapshots
        return
    refs = _refs(repository)
    main = refs.pop("main", None)
    if main is not None:
        yield "", snapshots / main
        yield from (
            (f"@{revision}", snapshots / commit) for revision, commit in refs.items() if commit != main
        )
    # A newer one that is not whole yet must not hide an older one that is.
    yield from (("", snapshot) for snapshot in existing if snapshot.name != main)


def _refs(repository: Path) -> dict[str, str]:
    try:
        with os.scandir(repository / "refs") as refs:
            return {ref.name: read_regular(Path(ref)).decode().strip() for ref in refs if ref.is_file()}
    except (OSError, UnicodeDecodeError):
        return {}


def _in_place(place: Path) -> Iterator[tuple[str, Path]]:
    if os.path.isfile(place / "config.json"):
        yield place.name, place
        return
    for child in _folders(place):
        inner = [] if os.path.isfile(child / "config.json") else list(_folders(child))
        if not inner:
            yield child.name, child
        for folder in inner:
            yield f"{child.name}/{folder.name}", folder


def _folders(parent: Path) -> Iterator[Path]:
    try:
        with os.scandir(parent) as found:
            names = sorted(entry.name for entry in found if entry.name[0] != "." and _is_folder(entry))
    except OSError:
        return
    yield from (parent / name for name in names)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a folder that may not be entered
        return False

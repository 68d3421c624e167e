"""Download a model's files into the hub cache, so that every other tool finds them there too.

huggingface_hub's own download starts a file from its beginning in each process; here an unfinished file stays
as `blobs/CHECKSUM.incomplete` and is continued by a range request. A file is complete once its checksum is
right. The revision's name leads to the new files only when all are there, so an older complete model serves
until then.
Plain HTTP, also for files that the hub keeps in Xet: it answers both, and only this way has a range.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from local_ai.pull.hub import Remote, RemoteFile, hub_errors, not_downloaded
from local_ai.settings.state import own_version

if TYPE_CHECKING:
    import httpx2

OnBytes = Callable[[int], None]

_CHUNK_BYTES = 1024 * 1024
_SILENCE_S = 30.0
_MOST_FRUITLESS = 5  # attempts in a row that bring nothing
_PAUSE_S = 1.0
# Left free by every download, so that other programs can still write.
SPARE_DISK_BYTES = 500_000_000


def missing_bytes(remote: Remote, hub_cache: Path) -> int:
    """Count what a pull would still transfer."""
    blobs = remote.repository(hub_cache) / "blobs"
    return sum(file.size_bytes - _present_bytes(file, blobs) for file in remote.files)


def free_disk_bytes(folder: Path) -> int:
    """Bytes free where a folder is, or would be made."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    stat = os.statvfs(existing)
    return stat.f_bavail * stat.f_frsize


def download(
    remote: Remote,
    hub_cache: Path,
    on_bytes: OnBytes,
    on_file: Callable[[RemoteFile], None] = lambda _file: None,
) -> Path:
    """Bring the files of a model that are not there yet.

    Args:
        on_bytes: Called with every so many bytes more; negative where some have to come again.
        on_file: Called with each file once it is there and whole.

    Returns:
        The model's folder.

    Raises:
        LocalAIError: The network or the hub failed, the disk is full, or another pull is at it.
    """
    folder = remote.folder(hub_cache)
    blobs = remote.repository(hub_cache) / "blobs"
    try:
        blobs.mkdir(parents=True, exist_ok=True)
        for file in remote.files:
            blob = blobs / file.checksum
            if not blob.exists():
                _fetch(file, blob, remote.name, on_bytes)
            _link(folder / file.name, blob)
            on_file(file)
        _name_revision(remote, hub_cache)
    except OSError as exc:
        raise not_downloaded(
            why=f"{exc.filename or blobs} cannot be written: {exc.strerror or exc}",
            fix="free some space there, then pull it again, which continues where it stopped"
            if exc.errno == errno.ENOSPC
            else "correct the permissions there, then pull it again",
        ) from exc
    return folder


def _present_bytes(file: RemoteFile, blobs: Path) -> int:
    if (blobs / file.checksum).exists():
        return file.size_bytes
    try:
        return min(_partial(blobs / file.checksum).stat().st_size, file.size_bytes)
    except OSError:
        return 0


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _fetch(file: RemoteFile, blob: Path, model: str, on_bytes: OnBytes) -> None:
    partial = _partial(blob)
    with partial.open("ab") as out, _only_here(out, model):
        _check_room(file, partial)
        with hub_errors(model):
            _transfer(file, out, on_bytes)
        out.flush()
        size = partial.stat().st_size
        if size != file.size_bytes or not _is_right(file, partial):
            partial.unlink()
            raise not_downloaded(
                why=f"{file.name} was damaged during the download: its checksum is not the one the hub names",
                fix="pull it again: only that file is downloaded again",
            )
        partial.rename(blob)


def _check_room(file: RemoteFile, partial: Path) -> None:
    """Refuse a file for which there is no space; other programs may have written since the pull began."""
    missing = file.size_bytes - partial.stat().st_size
    free = free_disk_bytes(partial.parent)
    if missing > 0 and missing + SPARE_DISK_BYTES > free:
        raise OSError(errno.ENOSPC, f"{file.name} needs {missing:,} bytes, {free:,} are free", str(partial))


@contextmanager
def _only_here(out: IO[bytes], model: str) -> Iterator[None]:
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise not_downloaded(
            why=f"{model} is being downloaded already, by another command",
            fix="wait for it, or end it first",
        ) from exc
    yield


def _transfer(file: RemoteFile, out: IO[bytes], on_bytes: OnBytes) -> None:
    """Append what is missing; an interrupted answer is asked for again from where it ended."""
    import httpx2

    fruitless = 0
    while (before := out.tell()) < file.size_bytes:
        try:
            _receive(file, out, on_bytes)
        except httpx2.TransportError:
            fruitless = 0 if out.tell() > before else fruitless + 1
            if fruitless >= _MOST_FRUITLESS:
                raise
            time.sleep(_PAUSE_S if fruitless else 0)
        else:
            if out.tell() <= before:  # an answer without an end to it would be asked for for ever
                return


def _receive(file: RemoteFile, out: IO[bytes], on_bytes: OnBytes) -> None:
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    from local_ai.pull.hub_session import for_file, hub_session

    start = out.tell()
    headers = build_hf_headers(library_name="local-ai", library_version=own_version())
    headers |= {"Range": f"bytes={start}-"} if start else {}
    with hub_session().stream(
        "GET", file.url, headers=headers, timeout=_SILENCE_S, extensions=for_file(file)
    ) as response:
        if response.is_error:
            response.read()  # what it says is part of the error
        hf_raise_for_status(response)
        if start and response.status_code != 206:  # it sends everything, whatever was asked for
            on_bytes(-start)
            out.truncate(0)
            out.seek(0)
        _append(response, out, file, on_bytes)


def _append(response: httpx2.Response, out: IO[bytes], file: RemoteFile, on_bytes: OnBytes) -> None:
    # As it comes: of a larger chunk, a transfer that breaks off would lose the part that is here.
    for chunk in response.iter_raw():
        if out.tell() + len(chunk) > file.size_bytes:
            out.truncate(0)  # what is here is not the file that was described
            raise not_downloaded(
                why=f"the hub sends more of {file.name} than the {file.size_bytes:,} bytes it named",
                fix="pull it again; if it stays so, take another model",
            )
        out.write(chunk)
        on_bytes(len(chunk))


def _is_right(file: RemoteFile, path: Path) -> bool:
    """Compare checksums; git's are of a header and the content.

    Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    """
    if file.is_large:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {file.size_bytes}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == file.checksum


def _link(pointer: Path, blob: Path) -> None:
    pointer.parent.mkdir(parents=True, exist_ok=True)
    if pointer.is_symlink() or pointer.exists():
        if pointer.exists():
            return
        pointer.unlink()  # its blob was removed by hand
    pointer.symlink_to(os.path.relpath(blob, pointer.parent))


def _name_revision(remote: Remote, hub_cache: Path) -> None:
    if remote.revision == remote.commit:
        return
    ref = remote.repository(hub_cache) / "refs" / remote.revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    new = ref.with_name(f".{ref.name}.new")
    new.write_text(remote.commit)
    new.replace(ref)

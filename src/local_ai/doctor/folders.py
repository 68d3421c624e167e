"""Folders and who may read them, free disk space, and what dead servers left."""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from local_ai.doctor.check import Check, Outcome, Place, Repair, ok, warning, wrong
from local_ai.errors import ConfigError, ServerError
from local_ai.lifecycle.preflight import refuse_foreign
from local_ai.lifecycle.stop import end_leftovers
from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths
from local_ai.status.figures import size_in_words
from local_ai.status.verdict import Health
from local_ai.supervision.lock import exclusive
from local_ai.supervision.rpc import SupervisorClient, SupervisorError, SupervisorUnreachable
from local_ai.supervision.supervisord import find_orphans, has_leftovers, remove_leftovers

_STATE_BYTES = 20_000_000  # logs rotate at a few megabytes each
_MODEL_BYTES = 2_000_000_000  # of a small model
_LOCK_S = 10.0
_NAMES_KEYS = re.compile(rb"^[^#\n]*api_keys?", re.MULTILINE)  # not in a comment
_BY_EFFECTIVE_ID = os.access in os.supports_effective_ids


def folder_checks(place: Place) -> Iterator[Check]:
    """Check folders, disks and leftovers."""
    paths = place.paths
    yield from _check_folders(paths)
    yield _check_disk("disk of the state", paths.state_dir, _STATE_BYTES, is_needed=True)
    yield _check_disk("disk of models", paths.models_dir, _MODEL_BYTES)
    yield _check_disk("disk of downloads", paths.hub_cache, _MODEL_BYTES)
    yield _check_leftovers(place)


def _check_folders(paths: Paths) -> Iterator[Check]:
    folders = dict.fromkeys((paths.state_dir, paths.logs_dir, paths.socket_dir))
    found = (
        *map(_fault_of_private, folders),
        *map(_fault_of_writing, (paths.config_dir, paths.data_dir)),
        *map(_fault_of_secret, (paths.config_file, paths.state_file)),
    )
    faults = [fault for fault in found if fault]
    yield from faults or [ok("folders", f"{paths.state_dir}, {paths.config_dir}, {paths.data_dir}")]


def _fault_of_private(folder: Path) -> Check | None:
    if not os.path.lexists(folder):
        return _fault_of_writing(folder)
    try:
        refuse_foreign(folder, f"the folder {folder}", f"mv {folder} {folder}.old")
    except ConfigError as exc:
        return wrong("folders", exc)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode == 0o700:
        return None
    return warning(
        "folders",
        f"{folder} is not private",
        why=f"its mode is {mode:04o}, and a start makes it 0700: it holds sockets and settings",
        command=f"chmod 700 {folder}",
        repair=Repair(f"chmod 700 {folder}", lambda: folder.chmod(0o700)),
    )


def _fault_of_writing(folder: Path) -> Check | None:
    existing = next(each for each in (folder, *folder.parents) if os.path.exists(each))
    if os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK, effective_ids=_BY_EFFECTIVE_ID):
        return None
    what = "cannot be written to" if os.path.isdir(existing) else "is not a folder"
    why, command = f"{existing} {what}", f"ls -ld {existing}"
    return wrong(
        "folders",
        ConfigError(f"{folder} cannot be used", why=why, fix="look at its owner and mode", command=command),
    )


def _fault_of_secret(file: Path) -> Check | None:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if not mode & 0o077 or not _NAMES_KEYS.search(read_regular(file)):
            return None
    except OSError:
        return None
    return warning(
        "folders",
        f"{file} can be read by others",
        why=f"it may hold keys, and its mode is {mode:04o}",
        command=f"chmod 600 {file}",
        repair=Repair(f"chmod 600 {file}", lambda: file.chmod(0o600)),
    )


def _check_disk(name: str, folder: Path, least: int, *, is_needed: bool = False) -> Check:
    existing = next(each for each in (folder, *folder.parents) if os.path.isdir(each))
    try:
        free = shutil.disk_usage(existing).free
    except OSError as exc:
        return warning(name, "not known", why=f"{existing}: {exc.strerror}", fix="make it readable")
    if free >= least:
        return ok(name, f"{size_in_words(free)} free at {existing}")
    fault = ServerError(
        f"{size_in_words(free)} free at {existing}",
        why=f"{'the server' if is_needed else 'a model'} needs {size_in_words(least)}",
        fix="free some space there",
        command=f"df -h {existing}",
    )
    if is_needed:
        return wrong(name, fault)
    return warning(name, fault.what, why=fault.why, fix=fault.fix, command=fault.command)


def _check_leftovers(place: Place) -> Check:
    paths = place.paths
    if place.report.verdict.health is not Health.STOPPED:
        return ok("leftovers", "none: the server runs")
    orphans = find_orphans(paths)
    if not orphans and not has_leftovers(paths):
        return ok("leftovers", "none")
    pids = ", ".join(str(process.pid) for process in orphans)
    why = (
        f"processes without a supervisord: {pids}" if pids else f"sockets or pid files in {paths.socket_dir}"
    )
    return Check(
        "leftovers",
        Outcome.WARNING,
        "a server that ended left something behind",
        why,
        command="local-ai server stop",
        repair=Repair("end and remove what that server left", lambda: _end_leftovers(paths)),
    )


def _end_leftovers(paths: Paths) -> None:
    with exclusive(paths.lock, timeout_s=_LOCK_S):
        try:
            SupervisorClient(paths.supervisor_socket).pid()
        except SupervisorUnreachable:
            end_leftovers(paths, grace_s=5)
            remove_leftovers(paths)
        except SupervisorError:
            return  # a server was started meanwhile: nothing of it is left over

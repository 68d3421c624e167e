"""Checks before anything is started: folders, packages, model. Changes nothing but folders."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import resource
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.errors import ConfigError, LocalAIError, ServerError
from local_ai.models.catalog import STARTER_ID, find_model
from local_ai.models.library import ModelLibrary, library_for, read_library
from local_ai.models.not_found import unusable_error
from local_ai.settings.keys import join_key
from local_ai.settings.model_names import peer_in
from local_ai.settings.paths import MAX_SOCKET_PATH_BYTES, Paths
from local_ai.supervision.program import LOG_NAMES
from local_ai.supervision.render import OPEN_FILES, PROCESSES

if TYPE_CHECKING:
    from local_ai.settings.schema import LocalAISettings, NamedModelSettings

# Import name → the package that brings it. Looked up, not imported: importing them takes seconds.
_ENGINE_PACKAGES = {"mlx_lm": "mlx-lm", "mlx": "mlx"}
_OMNI = {"mlx_omni_server": "mlx-omni-server"}

# Below it the engine or the gateway runs out of them once they are used: sockets, logs, model files.
_FEWEST_OPEN_FILES = 128

# As models are named on the hub: ORG/NAME.
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def prepare_folders(paths: Paths) -> None:
    """Create the private state folders, and refuse what is not ours alone.

    Raises:
        ConfigError: A folder is a link, another user's, or cannot be written to.
    """
    _refuse_root_in_anothers_home(paths.state_dir)
    _make_private(paths.state_dir, "the state directory", "set XDG_STATE_HOME to a folder you can write to")
    _make_private(paths.logs_dir, "the log directory", f"mv {paths.logs_dir} {paths.logs_dir}.old")
    for name in LOG_NAMES:
        _refuse_other_than_file(paths.log(name))
    if paths.socket_dir != paths.state_dir:
        try:
            _make_private(paths.socket_dir, "the socket directory", "")
        except ConfigError as exc:
            raise ConfigError(
                "there is no folder for the sockets",
                why=f"the state directory's path is too long for a socket ({paths.state_dir}, at most "
                f"{MAX_SOCKET_PATH_BYTES} bytes with the socket's name), and the folder used instead "
                f"{exc.why}",
                fix="set XDG_STATE_HOME to a folder with a shorter path",
            ) from exc


def check_packages(text: str) -> None:
    """Make sure that what the engine imports, by `engine.text`, is installed.

    Raises:
        ServerError: A package is missing from this Python environment.
    """
    missing = [name for module, name in _ENGINE_PACKAGES.items() if not _is_installed(module)]
    if not missing and text == "mlx-omni-server" and not all(map(_is_installed, _OMNI)):
        raise ServerError(
            "MLX Omni Server is not installed",
            why=f'engine.text is "{text}", and {sys.prefix} has no such package',
            fix="run it in the checkout, which installs it, or set engine.text back to mlx-lm",
        )
    if missing:
        raise ServerError(
            "the engine is not installed",
            why=f"missing from {sys.prefix}: {', '.join(missing)}",
            fix="uv sync (in the checkout), or reinstall local-ai",
        )


def check_open_files() -> int:
    """Return how many open files supervisord may ask for: as many as it usually does, or the limit below.

    Raises:
        ServerError: The limit is lower than what the programs need.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= OPEN_FILES:
        return OPEN_FILES
    if hard < _FEWEST_OPEN_FILES:
        raise ServerError(
            "the server did not start",
            why=f"this shell allows {hard} open files (ulimit -n), and it needs {_FEWEST_OPEN_FILES}",
            fix=f"open a new shell, or raise the limit there to {OPEN_FILES}: ulimit -n {OPEN_FILES}",
        )
    return hard


def most_processes() -> int:
    """Return how many processes supervisord may ask for: as many as it usually does, or the limit below."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    return PROCESSES if hard == resource.RLIM_INFINITY else min(hard, PROCESSES)


def check_model(configured: str | None, paths: Paths) -> None:
    """Make sure that `model.path` names a model this machine has.

    Raises:
        ConfigError: It names nothing that can be used; says what is there instead.
    """
    if configured is None or configured == STARTER_ID:
        return
    library = read_library(paths, configured=configured)
    if library.default:
        return
    if unusable := library.unusable(configured):
        raise unusable_error(unusable, paths, said=f"model.path is {configured!r}: ")
    near = library.nearest(configured)
    names = near or [model.id for model in library.models][:5] or [STARTER_ID]
    fix = f"set model.path (or --model) to {' or '.join(names)}"
    if _HUB_NAME.fullmatch(configured) and not near:
        fix = f"local-ai models pull {configured} downloads it; or {fix}"
    raise ConfigError(
        "the model was not found",
        why=f"model.path is {configured!r}, " + _why_not_a_model(configured),
        fix=fix,
    )


def check_places(settings: LocalAISettings, paths: Paths) -> list[str]:
    """Return a warning for each model folder that is not there and each alias that leads nowhere.

    Warnings, not errors: disks and models come and go.

    Args:
        paths: With the folders of `models.paths`.
    """
    from local_ai.settings.schema import ModelsSettings

    given = dict(zip(settings.models.paths, paths.model_folders, strict=True))
    usual = set(ModelsSettings().paths)
    gone = [folder for typed, folder in given.items() if typed not in usual and not os.path.isdir(folder)]
    library = library_for(settings, paths)
    peers = [peer.name for peer in settings.peers]  # whose models only a running server knows
    return [
        *(f"models.paths: {folder} is not a folder; it is skipped until it exists" for folder in gone),
        *(
            f"aliases: {name!r} leads to {target!r}, which is not a model on this machine"
            for name, target in library.unknown_targets()
            if name in settings.aliases and peer_in(target, peers) is None
        ),
        *(
            warning
            for name, own in settings.models.named.items()
            for warning in _check_named(name, own, library)
        ),
    ]


def _check_named(name: str, own: NamedModelSettings, library: ModelLibrary) -> Iterator[str]:
    """Yield what of one model's own settings has no effect now."""
    key = join_key(["models", name])
    model = find_model(name, library.models)
    if model is None:
        yield f"{key}: this is not a model on this machine; it is skipped until it is one"
    elif own.context_tokens and own.context_tokens > (model.context_tokens or own.context_tokens):
        yield (
            f"{key}.context_tokens: the model was made for {model.context_tokens}, and gets no more than that"
        )
    if own.chat_template and not own.chat_template.is_file():
        yield f"{key}.chat_template: {own.chat_template} is not a file, so the model cannot be loaded"
    if own.adapter_path and not own.adapter_path.is_dir():
        yield f"{key}.adapter_path: {own.adapter_path} is not a folder, so the model cannot be loaded"


def disk_error(exc: OSError, what: str) -> LocalAIError:
    """Put a failed look-up or write into words; what was there before it is kept."""
    where = exc.filename or "a file"
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        why, fix = f"{where} could not be written: {exc.strerror}", "free some space there"
    elif exc.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        why, fix = f"{where} cannot be read or written: {exc.strerror}", "correct the permissions there"
    else:
        why, fix = f"{where}: {exc.strerror or exc}", "fix that"
    return ServerError(what, why=why, fix=f"{fix}, then run the command again")


def _why_not_a_model(configured: str) -> str:
    folder = Path(configured)
    if not folder.is_absolute():
        return "which is not a model on this machine"
    if not os.path.isdir(folder):
        return "and there is no such folder"
    return "but that folder holds no config.json"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:
        return False


def refuse_foreign(folder: Path, what: str, fix: str) -> None:
    """Make sure that a folder of ours, which exists, is no link and this user's.

    Raises:
        ConfigError: It is not; `what` names it, `fix` says what to do.
    """
    info = folder.lstat()
    if stat.S_ISLNK(info.st_mode):
        raise _unusable(folder, what, "is a symbolic link, which could lead anywhere", fix)
    if info.st_uid != os.geteuid():
        raise _unusable(folder, what, f"belongs to another user ({info.st_uid})", fix)


def _refuse_root_in_anothers_home(folder: Path) -> None:
    existing = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))
    owner = existing.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise ConfigError(
            "refused to run as root in another user's home",
            why=f"{existing} belongs to user {owner}; files made there by root would lock that user out",
            fix="run the same command without sudo",
        )


def _refuse_other_than_file(log: Path) -> None:
    """Refuse a log to which supervisord cannot add, or would add elsewhere."""
    if log.is_symlink():
        raise _unusable(log, "the log", "is a symbolic link, which could lead anywhere", f"rm {log}")
    if os.path.exists(log) and not os.path.isfile(log):
        raise _unusable(log, "the log", "is not a regular file", f"mv {log} {log}.old")


def _make_private(folder: Path, what: str, fix: str) -> None:
    import tempfile

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_foreign(folder, what, fix)
        folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise _unusable(folder, what, f"cannot be written to: {exc.strerror}", fix) from exc


def _unusable(folder: Path, what: str, reason: str, fix: str) -> ConfigError:
    return ConfigError(f"{what} cannot be used", why=f"{folder} {reason}", fix=fix)

"""The Hugging Face hub's files under a name: those that a pull needs, their sizes, and their places.

Imports huggingface_hub, which takes a moment: for the commands that pull and remove only.

Source: huggingface_hub's HfApi.model_info and its cache layout ("Understand caching"): a file is kept once,
under its checksum, in `blobs`, and a revision's folder in `snapshots` links to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.errors import ConfigError, LocalAIError
from local_ai.printable import shortened

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

# As mlx-lm's own download takes them; Python files are data until model.trust_remote_code is set.
_NEEDED = ("*.json", "*.jsonl", "*.jinja", "*.txt", "*.tiktoken", "*.py", "*tokenizer.model")
_WEIGHTS = "*.safetensors"
_OTHER_WEIGHTS = (".gguf", ".bin", ".pth", ".pt", ".onnx")
_NOT_DONE = "the model was not downloaded"
not_downloaded = partial(LocalAIError, _NOT_DONE)
_ANSWER_S = 20.0
_CHECKSUM = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_COMMIT = re.compile("[0-9a-f]{40}")
# Far above any model there is; what the hub says beyond them is a mistake or an attack.
_MOST_FILES = 10_000
_MOST_FILE_BYTES = 2**60
_MOST_NAME_BYTES = 255  # of one part of a path, on the file systems of macOS and Linux
_MOST_SHOWN = 200  # characters of what the hub says
DEFAULT_REVISION = "main"


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository."""

    name: str  # its path within the repository
    size_bytes: int
    checksum: str  # SHA-256 of a large file, git's SHA-1 of a small one; also its name among the blobs
    is_large: bool
    url: str


@dataclass(frozen=True)
class Remote:
    """A model on the hub, at one commit."""

    name: str  # ORG/NAME
    revision: str  # as it was asked for
    commit: str
    files: tuple[RemoteFile, ...]  # what is needed of it: small files first, so that a part can be told

    @property
    def weight_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files if fnmatchcase(file.name, _WEIGHTS))

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def repository(self, hub_cache: Path) -> Path:
        """Return the repository's folder in a cache."""
        return hub_cache / f"models--{self.name.replace('/', '--')}"

    def folder(self, hub_cache: Path) -> Path:
        """Return the model's folder in a cache, once it is there."""
        return self.repository(hub_cache) / "snapshots" / self.commit


def ask_hub(name: str, revision: str | None) -> Remote:
    """Ask the hub what a pull needs.

    Raises:
        ConfigError: The name or the revision cannot be one.
        LocalAIError: No such model or revision, no permission, no network, or no weights that MLX reads.
    """
    from huggingface_hub import HfApi, hf_hub_url

    from local_ai.pull.hub_session import hub_session

    asked = revision or DEFAULT_REVISION
    if not _is_safe_path(asked):
        raise ConfigError(
            _NOT_DONE,
            why=f"{shortened(asked, _MOST_SHOWN)!r} cannot be a revision on the hub",
            fix=f"take a branch, tag or commit, or none for {DEFAULT_REVISION}",
        )
    try:
        with hub_errors(name, revision):
            hub_session()
            info = HfApi().model_info(name, revision=asked, files_metadata=True, timeout=_ANSWER_S)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as exc:
        # huggingface_hub takes the answer's JSON apart without a look at its types.
        raise _not_understood(f"{type(exc).__name__}: {exc}") from exc
    siblings = _checked_siblings(info.siblings)
    names = _needed([sibling.rfilename for sibling in siblings])
    commit = info.sha
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _not_understood(f"the commit of {name} is {commit!r}")
    files = [
        _remote_file(sibling, hf_hub_url(name, sibling.rfilename, revision=commit))
        for sibling in siblings
        if sibling.rfilename in names
    ]
    if "config.json" not in names or not any(fnmatchcase(file, _WEIGHTS) for file in names):
        raise _not_for_mlx(name, {sibling.rfilename for sibling in siblings})
    return Remote(name, asked, commit, tuple(sorted(files, key=lambda file: (file.is_large, file.name))))


@contextmanager
def hub_errors(name: str, revision: str | None = None) -> Iterator[None]:
    """Put what the hub and the way to it refuse into words."""
    import httpx2
    from huggingface_hub import constants, errors, is_offline_mode

    from local_ai.pull.hub_session import AnswerTooLongError

    again = "another pull continues where it stopped"
    try:
        if is_offline_mode():
            raise errors.OfflineModeIsEnabled
        yield
    except errors.OfflineModeIsEnabled as exc:
        raise not_downloaded(
            why="HF_HUB_OFFLINE is set: nothing is downloaded", fix="unset HF_HUB_OFFLINE"
        ) from exc
    except AnswerTooLongError as exc:
        raise _not_understood(str(exc)) from exc
    except errors.HFValidationError as exc:
        raise ConfigError(
            _NOT_DONE,
            why=f"{name!r} cannot be a model's name on the hub",
            fix="write it as ORG/NAME",
            command="local-ai models pull mlx-community/Llama-3.2-3B-Instruct-4bit",
        ) from exc
    except errors.GatedRepoError as exc:
        raise not_downloaded(
            why=f"the owner of {name} asks for an agreement first, or this machine is not signed in",
            fix=f"agree at {constants.ENDPOINT}/{name}, then sign in with: hf auth login (or set HF_TOKEN)",
        ) from exc
    except errors.RepositoryNotFoundError as exc:
        raise not_downloaded(
            why=f"the hub shows no model named {name!r}: there is none, or it is private",
            fix=f"look for the name at {constants.ENDPOINT}/models; for a private one: hf auth login",
        ) from exc
    except errors.RevisionNotFoundError as exc:
        raise not_downloaded(
            why=f"{name} has no revision {revision!r}",
            fix=f"take a branch, tag or commit listed at {constants.ENDPOINT}/{name}/commits/main",
        ) from exc
    except errors.HfHubHTTPError as exc:
        status = exc.response.status_code
        said = shortened(str(exc.server_message or exc.response.reason_phrase), _MOST_SHOWN)
        raise not_downloaded(
            why=f"{constants.ENDPOINT} answered {status}: {said}",
            fix="sign in again with: hf auth login" if status in (401, 403) else f"try later; {again}",
        ) from exc
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        raise not_downloaded(
            why=f"{constants.ENDPOINT} cannot be reached: {exc or type(exc).__name__}",
            fix=f"check the network (and HF_ENDPOINT, if you set it); {again}",
        ) from exc


def _checked_siblings(siblings: object) -> list[RepoSibling]:
    """Return the repository's files, whose names can be paths below a folder of this disk.

    huggingface_hub checks neither the types nor the values that a hub sends.
    """
    if not isinstance(siblings, list) or len(siblings) > _MOST_FILES:
        raise _not_understood("its list of files is missing, or too long")
    for sibling in siblings:
        if not _is_safe_path(sibling.rfilename):
            raise _not_understood(f"one of its files is named {sibling.rfilename!r}")
    if len({sibling.rfilename for sibling in siblings}) < len(siblings):
        raise _not_understood("it names a file twice")
    return siblings


def _is_safe_path(name: object) -> bool:
    if not isinstance(name, str) or not name.isprintable() or "\\" in name:
        return False
    parts = name.split("/")
    return not {"", ".", ".."} & set(parts) and all(len(part.encode()) <= _MOST_NAME_BYTES for part in parts)


def _remote_file(sibling: RepoSibling, url: str) -> RemoteFile:
    name, size = sibling.rfilename, sibling.size
    checksum = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    if type(size) is not int or not 0 <= size <= _MOST_FILE_BYTES:
        raise _not_understood(f"the size of {name} is {size!r}")
    if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
        raise _not_understood(f"the checksum of {name} is {checksum!r}")
    return RemoteFile(name, size, checksum, sibling.lfs is not None, url)


def _not_understood(what: str) -> LocalAIError:
    return not_downloaded(
        why=f"the hub's answer is not one that can be used: {shortened(what, _MOST_SHOWN)}",
        fix="take another model, and please report this one",
    )


def _needed(names: list[str]) -> set[str]:
    """Choose the files that a model needs; of several sets of weights at the top, those mlx-lm reads."""
    weights = {name for name in names if fnmatchcase(name, _WEIGHTS)}
    if any(name.startswith("model") and "/" not in name for name in weights):
        weights = {name for name in weights if "/" in name or name.startswith("model")}
    return weights | {name for name in names if any(fnmatchcase(name, kind) for kind in _NEEDED)}


def _not_for_mlx(name: str, names: set[str]) -> LocalAIError:
    other = sorted({Path(file).suffix for file in names} & set(_OTHER_WEIGHTS))
    has = f"only weights in {', '.join(other)}" if other else "none"
    if "config.json" not in names and any(fnmatchcase(file, _WEIGHTS) for file in names):
        has = "no config.json"
    return not_downloaded(
        why=f"MLX needs a config.json and weights in *.safetensors, and {name} has {has}",
        fix=f"look for it at https://huggingface.co/mlx-community?search_models={name.rpartition('/')[2]}",
    )

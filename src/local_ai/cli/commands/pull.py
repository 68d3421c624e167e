"""`models.pull`."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from local_ai.cli import console
from local_ai.cli.commands.models import look
from local_ai.errors import EXIT_INTERRUPTED, LocalAIError
from local_ai.models.catalog import STARTER_ID, list_models
from local_ai.models.download import SPARE_DISK_BYTES, download, free_disk_bytes, missing_bytes
from local_ai.models.hub import DEFAULT_REVISION, Remote, ask_hub
from local_ai.models.memory import total_bytes, working_set_bytes
from local_ai.settings.paths import Paths
from local_ai.status.words import in_words, size_in_words

_NOT_DONE = "the model was not downloaded"
# Of its memory, what a machine can give to weights: the conversation and everything else need the rest.
_MOST_OF_MEMORY = 0.9
_SPEED_OVER_S = 5.0


def pull(name: str, *, revision: str | None, even_if_too_large: bool, as_json: bool) -> None:
    """Download a model from the hub, or what is missing of it."""
    paths = look().paths
    if name.strip() in {"starter", STARTER_ID}:
        _make_starter(paths, as_json=as_json)
        return
    name, at, part = name.strip().partition("@")
    revision = revision or (part if at else None)
    command = _command(name, revision)
    remote = ask_hub(name, revision)
    missing = missing_bytes(remote, paths.hub_cache)
    _check_memory(remote, command, even_if_too_large=even_if_too_large)
    _check_disk(missing, paths, command)
    meter = Meter(remote.size_bytes, remote.size_bytes - missing)
    started = time.monotonic()
    console.print_note(_beginning(remote, missing))
    try:
        with console.changing_line() as show:
            folder = download(remote, paths.hub_cache, _reporter(meter, show))
            show(meter.sentence, 1.0)
    except KeyboardInterrupt as exc:
        raise LocalAIError(
            "interrupted",
            why=f"Ctrl-C; {size_in_words(meter.done)} of {size_in_words(meter.total)} are kept",
            fix=f"to continue, run the same command again: {command}",
            exit_code=EXIT_INTERRUPTED,
        ) from exc
    # Looked up, not guessed: another revision beside "main" has a name of its own.
    known = next((model.id for model in list_models(paths) if model.path == folder), None)
    _tell_result(remote, known, folder, missing, time.monotonic() - started, as_json=as_json)


def _make_starter(paths: Paths, *, as_json: bool) -> None:
    """Make the starter model now, as the first start would."""
    from local_ai.models.starter import prepare_starter

    started = time.monotonic()
    with console.changing_line() as show:
        folder = prepare_starter(paths.models_dir, lambda step, share: show(f"{step}, {share:.0%}", share))
    if as_json:
        console.print_json(
            {"id": STARTER_ID, "path": str(folder), "seconds": round(time.monotonic() - started, 1)}
        )
        return
    console.print_line(f"{STARTER_ID} is here: {folder}")


class Meter:
    """A download's progress and recent speed."""

    def __init__(self, total: int, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = done
        self._clock = clock
        self._seen = deque([(clock(), done)])

    def add(self, count: int) -> None:
        """Count bytes that came; negative ones have to come again."""
        now = self._clock()
        self.done += count
        self._seen.append((now, self.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _SPEED_OVER_S:
            self._seen.popleft()

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 1.0

    @property
    def sentence(self) -> str:
        """Write it: "1.2 GB of 4.3 GB (28 %), 35 MB/s, 1 min left"."""
        said = f"{size_in_words(self.done)} of {size_in_words(self.total)} ({self.share:.0%})"
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        if self.done >= self.total or last_at <= first_at or last <= first:
            return said
        speed = (last - first) / (last_at - first_at)
        left = in_words((self.total - self.done) / speed)
        return f"{said}, {size_in_words(round(speed))}/s, {left} left"


def _reporter(meter: Meter, show: Callable[[str, float], None]) -> Callable[[int], None]:
    def report(count: int) -> None:
        meter.add(count)
        show(meter.sentence, meter.share)

    return report


def _check_memory(remote: Remote, command: str, *, even_if_too_large: bool) -> None:
    most = int(_MOST_OF_MEMORY * total_bytes())
    if sys.platform == "darwin" and (limit := working_set_bytes()):  # elsewhere mlx need not be imported
        most = min(most, limit)
    if remote.weight_bytes <= most:
        return
    too_large = (
        f"the weights of {remote.name} need {size_in_words(remote.weight_bytes)} of memory, and this "
        f"machine can give {size_in_words(most)} to models"
    )
    if even_if_too_large:
        console.print_warning(f"{too_large}; it is downloaded anyway")
        return
    raise LocalAIError(
        _NOT_DONE,
        why=too_large,
        fix=f"take a smaller one, or one with fewer bits; to download it anyway: {command} "
        "--even-if-too-large",
    )


def _check_disk(missing: int, paths: Paths, command: str) -> None:
    free = free_disk_bytes(paths.hub_cache)
    if not missing or missing + SPARE_DISK_BYTES <= free:
        return
    raise LocalAIError(
        _NOT_DONE,
        why=f"{size_in_words(missing)} are still to be downloaded (and "
        f"{size_in_words(SPARE_DISK_BYTES)} should stay free), and the disk of {paths.hub_cache} has "
        f"{size_in_words(free)} free",
        fix="free some space (local-ai models list, local-ai models remove NAME), or set HF_HUB_CACHE to a "
        "folder on a larger disk, then run",
        command=command,
    )


def _beginning(remote: Remote, missing: int) -> str:
    size = size_in_words(remote.size_bytes)
    if not missing:
        return f"{remote.name}: all {size} are here already"
    if missing < remote.size_bytes:
        return f"{remote.name}: {size}, of which {size_in_words(missing)} are still to be downloaded"
    return f"{remote.name}: {size}"


def _tell_result(
    remote: Remote, known: str | None, folder: Path, came: int, took_s: float, *, as_json: bool
) -> None:
    if as_json:
        console.print_json(
            {
                "id": known,
                "path": str(folder),
                "revision": remote.revision,
                "commit": remote.commit,
                "size_bytes": remote.size_bytes,
                "downloaded_bytes": came,
                "seconds": round(took_s, 1),
            }
        )
        return
    console.print_line(f"{known or remote.name} is here: {size_in_words(remote.size_bytes)}, {folder}")
    console.print_line(f"Clients name it {known}." if known else "Clients name it by that folder.")
    console.print_line(f"To make it the default: local-ai models use {known or folder}")


def _command(name: str, revision: str | None) -> str:
    option = f" --revision {revision}" if revision and revision != DEFAULT_REVISION else ""
    return f"local-ai models pull {name}{option}"

"""`models.pull`."""

import time
from collections.abc import Callable
from pathlib import Path

from local_ai.cli import console
from local_ai.cli.commands.models import look
from local_ai.errors import EXIT_INTERRUPTED, ConfigError, LocalAIError
from local_ai.models.catalog import STARTER_ID, list_models
from local_ai.models.not_found import model_of_peer
from local_ai.pull.download import download
from local_ai.pull.hub import Remote
from local_ai.pull.meter import Meter
from local_ai.pull.plan import plan_pull, pull_command
from local_ai.settings.model_names import peer_in
from local_ai.settings.paths import Paths
from local_ai.status.figures import size_in_words


def pull(name: str, *, revision: str | None, even_if_too_large: bool, as_json: bool) -> None:
    """Download a model from the hub, or what is missing of it."""
    shelf = look()
    paths = shelf.paths
    if name.strip() in {"starter", STARTER_ID}:
        _make_starter(paths, as_json=as_json)
        return
    if revision is None and (peer := peer_in(name.strip(), shelf.library.peers)):
        there = model_of_peer(name.strip(), peer)
        raise ConfigError(there.what, why=there.why, fix=there.fix)
    plan = plan_pull(
        name,
        revision,
        paths.hub_cache,
        settings=shelf.settings.models,
        even_if_too_large=even_if_too_large,
        warn=console.print_warning,
    )
    remote, missing = plan.remote, plan.missing_bytes
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
            fix=f"to continue, run the same command again: {pull_command(remote)}",
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


def _reporter(meter: Meter, show: Callable[[str, float], None]) -> Callable[[int], None]:
    def report(count: int) -> None:
        meter.add(count)
        show(meter.sentence, meter.share)

    return report


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

"""`models.list`, `info`, `use`, `unload`, `pin`, `unpin`."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from local_ai.cli import console
from local_ai.cli.run import load_settings
from local_ai.engine.formats.folder import read_format
from local_ai.errors import ConfigError, whole_fix
from local_ai.lifecycle.memory import pin_model, unload_model
from local_ai.models.catalog import STARTER_ID, Model, find_model, list_incomplete, list_models
from local_ai.models.library import ModelLibrary, library_for
from local_ai.models.memory import loadable_bytes, total_bytes
from local_ai.models.not_found import fix_of, model_of_peer, unusable_error
from local_ai.models.recommended import best_for, recommended_models
from local_ai.printable import printable
from local_ai.settings.keys import join_key
from local_ai.settings.paths import Paths, find_paths
from local_ai.settings.schema import LocalAISettings
from local_ai.settings.state import read_target, running_paths
from local_ai.status.figures import size_in_words, why_slow, why_too_large
from local_ai.status.health import PeerState
from local_ai.status.probe import probe_engine, probe_peers

_PATH_SIGNS = ("/", "./", "../", "~")
_HEADER = ("NAME", "SIZE", "QUANT", "CONTEXT", "FAMILY", "", "WHERE")


@dataclass(frozen=True)
class Shelf:
    """The models of this machine, and what the settings say of them."""

    settings: LocalAISettings
    paths: Paths
    library: ModelLibrary


def look(name: str | None = None) -> Shelf:
    """Read the settings and the model folders, those of the server that runs, and a folder that is named."""
    settings = load_settings(None, {}).settings
    own = find_paths()
    paths = running_paths(own).with_model_folders(settings.models.paths)
    if (paths.models_dir, paths.hub_cache) != (own.models_dir, own.hub_cache):
        console.print_note(
            f"The folders of the running server, {paths.models_dir} and {paths.hub_cache}, are used: this "
            f"shell has others ({own.models_dir} and {own.hub_cache}), by HF_HOME or an XDG variable."
        )
    folder = as_folder(name) if name and name.startswith(_PATH_SIGNS) else None
    running = read_target(paths.state_file) if os.path.exists(paths.supervisor_socket) else None
    library = library_for(settings, paths, settled=running.default_model if running else None)
    if folder and find_model(folder, library.models) is None:
        library = replace(library, models=tuple(list_models(paths, folder)))
    return Shelf(settings, paths, library)


def as_folder(name: str) -> str:
    """Write a name that looks like a path as the absolute folder it means."""
    return str(Path(name).expanduser().absolute()) if name.startswith(_PATH_SIGNS) else name


def not_found(name: str, shelf: Shelf, *, command: str = "models info") -> ConfigError:
    """Say why the folder of that name is no model; or that there is none, with the nearest.

    Args:
        command: The one that the fix gives the nearest name to.
    """
    given = as_folder(name)
    at = given if given.startswith("/") else shelf.library.configured  # a folder may lie anywhere
    library = replace(shelf.library, configured=at)
    if unusable := library.unusable(given):
        return unusable_error(unusable, shelf.paths)
    if peer := library.peer_of(name):
        there = model_of_peer(name, peer)
        return ConfigError(there.what, why=there.why, fix=there.fix)
    near = library.nearest(given)
    return ConfigError(
        "the model was not found",
        why=f"{given!r} is not a model on this machine",
        fix="" if near else "local-ai models list shows what there is",
        command=f"local-ai {command} {shlex.quote(near[0])}" if near else "",
    )


def show_list(*, as_json: bool) -> None:
    """List every model here, the newest first, what is only partly there, and the peers' models."""
    shelf = look()
    rows = _describe(shelf.library.models, shelf)
    incomplete = list_incomplete(shelf.paths)
    peers = _peers(shelf)
    if as_json:
        partly = [asdict(one) for one in incomplete]
        console.print_json({"models": rows, "incomplete": partly, "peers": peers})
        return
    if rows or peers:
        cells = [_cells_of_peer(peer, model) for peer in peers for model in peer["models"]]
        console.print_table(_HEADER, [*(_cells(row) for row in rows), *cells])
    else:
        console.print_line("No models yet. The first local-ai server start prepares the starter model.")
    if all(model.id == STARTER_ID for model in shelf.library.models):
        _suggest()
    for peer in peers:
        if peer["state"] != PeerState.READY:
            console.print_note(f"The peer {peer['name']} is {_state_of_peer(peer)} ({peer['url']}).")
    for row in rows:
        if row["too_large"]:
            console.print_warning(f"{row['id']} does not fit: {row['too_large']}")
    for one in incomplete:
        fix = whole_fix(*fix_of(one, shelf.paths))
        console.print_warning(f"{one.id} cannot be used: {one.reason} ({one.path}). To fix it: {fix}")


def _peers(shelf: Shelf) -> list[dict[str, Any]]:
    """Ask the running server for its peers and their models; none where it does not run."""
    target = read_target(shelf.paths.state_file) if os.path.exists(shelf.paths.supervisor_socket) else None
    return probe_peers(target.host, target.port) if target and shelf.settings.peers else []


def _cells_of_peer(peer: dict[str, Any], model: str) -> tuple[str, ...]:
    return (model, "–", "–", "–", "–", _state_of_peer(peer), peer["url"])


def _state_of_peer(peer: dict[str, Any]) -> str:
    return f"{peer['state']}: {peer['why']}" if peer["why"] else str(peer["state"])


def _suggest() -> None:
    if best := best_for(total_bytes(), recommended_models()):
        about = f"{best.size_gb} GB, {best.licence}"
        console.print_note(f"A good one for this machine ({about}): local-ai models pull {best.name}")


def info(name: str, *, as_json: bool) -> None:
    """Show everything known about one model."""
    shelf = look(name)
    model = _find(name, shelf, "models info")
    form = read_format(model.path)
    thought = [form.thought.start, form.thought.end] if form.thought else None
    row = _describe([model], shelf)[0] | {
        "thoughts": thought,
        "calls": form.calls.title if form.knows_tools else None,
    }
    if as_json:
        console.print_json(row)
        return
    shown = {
        "name": row["id"],
        "folder": printable(row["path"]),
        "size": size_in_words(row["size_bytes"]),
        "family": row["family"] or "not said",
        "quantisation": row["quantisation"] or "none",
        "speed": row["slow"],
        "context": f"{row['context_tokens']} tokens" if row["context_tokens"] else "not said",
        "kind": "generates text" if row["generates_text"] else "does not generate text",
        "thoughts": f"between {' and '.join(thought)}" if thought else "none",
        "pictures": _pictures(row),
        "calls": row["calls"] or "its template knows no tools",
        "state": _state(row) or "not loaded",
        "aliases": ", ".join(row["aliases"]) or "none",
        "settings": ", ".join(f"{key} = {console.describe(value)}" for key, value in row["settings"].items())
        or "none of its own",
    }
    for label, text in shown.items():
        if text:
            console.print_line(f"{label:<14}{text}")


def use(name: str, *, config: str | None) -> None:
    """Make a model the default, in the settings file."""
    from local_ai.settings.edit import set_value

    model = _find(name, look(name), "models use")
    file = load_settings(config, {}).config_file or find_paths().config_file
    value = str(model.path) if name.startswith(_PATH_SIGNS) else model.id
    set_value(file, "model.path", value)
    console.print_line(f"{model.id} is the default model now ({file}).")
    if load_settings(config, {}).settings.model.path != value:
        console.print_warning("another source sets model.path and wins: see local-ai config show")
    console.print_line("To use it in a running server: local-ai server restart")


def unload(name: str | None) -> None:
    """Unload a model once its running answers have ended, or all, which frees their memory."""
    model = _find(name, look(name), "models unload") if name else None
    path = str(model.path) if model else None
    done = unload_model(find_paths().engine_socket, path, on_wait=console.print_note)
    if not done.models:
        console.print_line(f"{model.id} was not loaded." if model else "No model was loaded.")
    else:
        names = ", ".join(done.models)
        console.print_line(f"Unloaded {names}: {size_in_words(done.freed_bytes)} given back.")
        console.print_line("The next request for a model loads it again.")


def pin(name: str) -> None:
    """Load a model, and keep it in memory."""
    model = _find(name, look(name), "models pin")
    pin_model(find_paths().engine_socket, str(model.path), pinned=True)
    console.print_line(f"{model.id} is pinned: it stays in memory until the server ends.")
    console.print_line(f"To end that: local-ai models unpin {model.id}")
    console.print_line(f"To pin it for good: pin = true in the settings' table {own_table(model.id)}")


def unpin(name: str) -> None:
    """Let a model be unloaded again."""
    model = _find(name, look(name), "models unpin")
    if pin_model(find_paths().engine_socket, str(model.path), pinned=False):
        raise ConfigError(
            "the model stays pinned",
            why=f"the settings pin it (pin = true in {own_table(model.id)})",
            fix="take that line out, then run",
            command="local-ai config reload",
        )
    console.print_line(f"{model.id} is not pinned: it is unloaded like any other.")


def own_table(model: str) -> str:
    """Write the header of a model's own table in the settings."""
    return f"[{join_key(['models', model])}]"


def _find(name: str, shelf: Shelf, command: str) -> Model:
    if model := shelf.library.find(as_folder(name)):
        return model
    raise not_found(name, shelf, command=command)


def _describe(models: Sequence[Model], shelf: Shelf) -> list[dict[str, Any]]:
    health = probe_engine(shelf.paths.engine_socket)
    held = {each.id: each for each in health.models} if health else {}
    settings = shelf.settings.models
    most = health.loadable_bytes if health else loadable_bytes(settings) if settings.fit_check else None
    return [
        {
            **{name: value for name, value in asdict(model).items() if name != "own"},
            "path": str(model.path),
            "default": model == shelf.library.default,
            "too_large": why_too_large(model.size_bytes, most),
            "slow": why_slow(model.quantisation, health.device if health else None),
            "loaded": model.id in held,
            "in_memory": asdict(held[model.id]) if model.id in held else None,
            "aliases": shelf.library.aliases_of(model),
            "settings": model.own.model_dump(mode="json") if model.own else {},
        }
        for model in models
    ]


def _pictures(row: dict[str, Any]) -> str:
    if not row["sees"]:
        return "it does not see"
    return "can be shown to it" + ("; it answers one request at a time" if row["one_at_a_time"] else "")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["id"],
        size_in_words(row["size_bytes"]),
        row["quantisation"] or "–",
        str(row["context_tokens"] or "–"),
        (row["family"] or "–") + (", sees pictures" if row["sees"] else ""),
        _state(row),
        row["path"],
    )


def _state(row: dict[str, Any]) -> str:
    also = f"also {', '.join(row['aliases'])}" if row["aliases"] else ""
    pinned = "pinned" if row["in_memory"] and row["in_memory"]["pinned"] else ""
    words = [*(word for word in ("default", "loaded") if row[word]), pinned, also]
    return ", ".join(filter(None, words))

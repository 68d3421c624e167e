"""`models.list`, `info`, `use`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from local_ai import console
from local_ai.commands.run import load_settings
from local_ai.errors import ConfigError
from local_ai.models.catalog import (
    Model,
    choose_default,
    find_model,
    list_incomplete,
    list_models,
    nearest_names,
)
from local_ai.paths import find_paths
from local_ai.probe import probe_engine

_PATH_SIGNS = ("/", "./", "../", "~")
_HEADER = ("NAME", "SIZE", "QUANT", "CONTEXT", "FAMILY", "", "WHERE")


def show_list(*, as_json: bool) -> None:
    """List every model on this machine, the newest first, and what is only partly there."""
    rows = _describe(list_models(find_paths(), _configured()))
    incomplete = list_incomplete(find_paths())
    if as_json:
        console.print_json({"models": rows, "incomplete": [asdict(one) for one in incomplete]})
        return
    if rows:
        console.print_table(_HEADER, [_cells(row) for row in rows])
    else:
        console.print_line("No models yet. The first inv server.start prepares the starter model.")
    for one in incomplete:
        console.print_warning(f"{one.id} is incomplete: {one.reason} ({one.path})")


def info(name: str, *, as_json: bool) -> None:
    """Show everything known of one model."""
    model = _find(name)
    row = _describe([model])[0]
    if as_json:
        console.print_json(row)
        return
    shown = {
        "name": row["id"],
        "folder": row["path"],
        "size": console.format_bytes(row["size_bytes"]),
        "family": row["family"] or "not said",
        "quantisation": row["quantisation"] or "none",
        "context": f"{row['context_tokens']} tokens" if row["context_tokens"] else "not said",
        "kind": "generates text" if row["generates_text"] else "does not generate text",
        "state": _state(row) or "not loaded",
    }
    for label, text in shown.items():
        console.print_line(f"{label:<14}{text}")


def use(name: str, *, config: str | None) -> None:
    """Make a model the default, in the settings file."""
    from local_ai.settings.edit import set_value

    model = _find(name)
    file = load_settings(config, {}).config_file or find_paths().config_file
    value = str(model.path) if name.startswith(_PATH_SIGNS) else model.id
    set_value(file, "model.path", value)
    console.print_line(f"{model.id} is the default model now ({file}).")
    if load_settings(config, {}).settings.model.path != value:
        console.print_warning("something else sets model.path and wins: see inv config.show")
    console.print_line("A running server takes it with: inv server.restart")


def _find(name: str) -> Model:
    folder = str(Path(name).expanduser().absolute()) if name.startswith(_PATH_SIGNS) else name
    models = list_models(find_paths(), folder if folder.startswith("/") else _configured())
    if model := find_model(folder, models):
        return model
    near = nearest_names(name, models)
    raise ConfigError(
        "the model was not found",
        why=f"{name!r} is no model found on this machine",
        fix=f"inv models.info {near[0]}" if near else "inv models.list shows what there is",
    )


def _configured() -> str | None:
    return load_settings(None, {}).settings.model.path


def _describe(models: Sequence[Model]) -> list[dict[str, Any]]:
    configured = _configured()
    everything = list_models(find_paths(), configured)
    default = choose_default(everything, configured=configured, memory_bytes=psutil.virtual_memory().total)
    health = probe_engine(find_paths().engine_socket)
    loaded = health.model if health else None
    return [
        {**asdict(model), "path": str(model.path), "default": model == default, "loaded": model.id == loaded}
        for model in models
    ]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["id"],
        console.format_bytes(row["size_bytes"]),
        row["quantisation"] or "–",
        str(row["context_tokens"] or "–"),
        row["family"] or "–",
        _state(row),
        row["path"],
    )


def _state(row: dict[str, Any]) -> str:
    return ", ".join(word for word in ("default", "loaded") if row[word])

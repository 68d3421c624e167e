"""`config.show`, `check`, `reload`, `init`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.cli import console
from local_ai.cli.run import load_settings
from local_ai.settings.paths import find_paths

if TYPE_CHECKING:
    from local_ai.settings.reload import Change


def show(*, config: str | None, as_json: bool) -> None:
    """Show every setting, its value and where the value came from."""
    loaded = load_settings(config, {})
    if as_json:
        console.print_json({key: {"value": value, "origin": origin} for key, value, origin in loaded.rows})
    else:
        rows = [(key, console.describe(value), origin) for key, value, origin in loaded.rows]
        console.print_table(("KEY", "VALUE", "FROM"), rows)


def check(*, config: str | None) -> None:
    """Check the settings without starting anything."""
    from local_ai.lifecycle.preflight import check_model, check_places
    from local_ai.settings.exposure import check_exposure

    loaded = load_settings(config, {})
    paths = find_paths().with_model_folders(loaded.settings.models.paths)
    check_model(loaded.settings.model.path, paths)
    for warning in (check_exposure(loaded.settings.server), *check_places(loaded.settings, paths)):
        if warning:
            console.print_warning(warning)
    console.print_line(f"The settings are valid ({loaded.config_file or 'no settings file'}).")


def reload(*, as_json: bool) -> None:
    """Have the running server take the changed settings, as far as it can without a restart."""
    from local_ai.lifecycle.reload import reload

    result = reload(find_paths())
    if as_json:
        console.print_json(
            {
                "changed": [asdict(change) for change in result.changed],
                "needs_restart": [asdict(change) for change in result.needs_restart],
            }
        )
        return
    for change in result.changed:
        console.print_line(f"{change.key}: {_values(change)}")
    for change in result.needs_restart:
        console.print_warning(f"{change.key}: {_values(change)} needs: local-ai server restart")
    if not result.changed:
        console.print_line("No setting has changed that can change while the server runs.")


def _values(change: Change) -> str:
    before, after = (console.describe(value) or "not set" for value in (change.before, change.after))
    return f"{before} → {after}"


def init(*, config: str | None) -> None:
    """Write a commented settings file; never over an existing one."""
    from local_ai.settings.edit import write_example

    file = Path(config).expanduser().absolute() if config else find_paths().config_file
    write_example(file)
    console.print_line(f"Written: {file}")

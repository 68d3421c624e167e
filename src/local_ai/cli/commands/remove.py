"""`models.remove`."""

from pathlib import Path

from local_ai.cli import console
from local_ai.cli.commands.models import Shelf, as_folder, look, not_found
from local_ai.models.catalog import STARTER_ID, find_model, list_incomplete
from local_ai.models.removal import Removal, plan_removal, refuse_if_used
from local_ai.models.removal import remove as remove_files
from local_ai.settings.state import read_target
from local_ai.status.figures import size_in_words
from local_ai.status.probe import probe_engine


def remove(name: str, *, yes: bool) -> None:
    """Remove a model from this machine, after asking."""
    shelf = look(name)
    found, folder = _find(name, shelf)
    _refuse_if_used(found, folder, shelf)
    removal = plan_removal(found, folder, shelf.paths)
    if not yes and not _confirm(found, removal):
        console.print_line("Nothing was removed.")
        return
    remove_files(removal, shelf.paths)
    if removal.is_link:
        console.print_line(f"Removed the link {removal.folder}; its target stays.")
    else:
        freed = size_in_words(removal.size_bytes)
        console.print_line(f"Removed {found}: {freed} given back ({removal.folder}).")
    if found == STARTER_ID:
        console.print_line("A start that finds no other model prepares it again.")


def _find(name: str, shelf: Shelf) -> tuple[str, Path]:
    """Find a model, whole or not, by its name or folder; an alias is not enough to remove something."""
    if model := find_model(as_folder(name), shelf.library.models):
        return model.id, model.path
    for one in list_incomplete(shelf.paths):
        if name == one.id or as_folder(name) == str(one.path):
            return one.id, one.path
    raise not_found(name, shelf)


def _refuse_if_used(name: str, folder: Path, shelf: Shelf) -> None:
    health = probe_engine(shelf.paths.engine_socket)
    target = read_target(shelf.paths.state_file) if health is not None else None
    refuse_if_used(
        name,
        folder,
        in_memory=(*health.in_memory, health.loading) if health else (),
        settings=shelf.settings.model.path,
        server=target.model_path if target else None,
    )


def _confirm(name: str, removal: Removal) -> bool:
    if removal.is_link:
        question = f"Remove {name}: the link {removal.folder} (its target stays)?"
    else:
        question = f"Remove {name}: {size_in_words(removal.size_bytes)} in {removal.folder}?"
    also = f", and a removal cannot be undone: {removal.folder}"
    return console.confirm(
        question, "the model was not removed", also=also, command=f"local-ai models remove {name} --yes"
    )

"""`omni.parts` and `omni.install`: speech, transcription and images, in an environment of their own."""

from typing import Any

from local_ai.cli import console
from local_ai.settings.paths import Paths, find_paths
from local_ai.settings.state import running_paths
from local_ai.supervision.omni import PARTS, installed_parts, runs_here


def show_parts(*, as_json: bool) -> None:
    """Show which parts are installed, and which cannot work here."""
    paths = running_paths(find_paths())
    rows = _rows(paths)
    if as_json:
        console.print_json(rows)
        return
    console.print_table(("PART", "STATE", "PATH"), [(row["name"], row["state"], row["path"]) for row in rows])
    for row in rows:
        if row["why"]:
            console.print_line(f"  {row['name']}: {row['why']}")
    console.print_line(f"They are in {paths.omni_dir}; to remove them all, delete that folder.")


def install(part: str, *, as_json: bool) -> None:
    """Install a part into the environment of its own."""
    from local_ai.lifecycle.omni import install_part

    wanted = next(each for each in PARTS if each.name == part)
    paths = running_paths(find_paths())
    with console.progress() as say:
        install_part(wanted, paths, say)
    if as_json:
        console.print_json(_rows(paths))
        return
    console.print_line(
        f"Installed {part} in {paths.omni_dir}; requests to {wanted.path} are answered after a"
    )
    console.print_line("start, or where the server runs: local-ai server restart")


def _rows(paths: Paths) -> list[dict[str, Any]]:
    """One row per part: {"name": str, "state": str, "path": str, "why": str}."""
    installed = installed_parts(paths)
    return [
        {
            "name": part.name,
            "state": ("installed" if part.name in installed else "not installed")
            if runs_here(part)
            else "cannot work here",
            "path": part.path,
            "why": "" if runs_here(part) else part.why_not_here,
        }
        for part in PARTS
    ]

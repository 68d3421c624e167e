"""`self.doctor`, `diagnostics` and `uninstall`: this installation itself."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_ai.cli import console
from local_ai.cli.commands.completion import files_with_completion
from local_ai.cli.commands.service import installed_service, look
from local_ai.cli.completion_file import take_block
from local_ai.doctor.archive import write_archive
from local_ai.doctor.check import Check
from local_ai.doctor.examine import examine, exit_code
from local_ai.lifecycle.manager import ServerManager
from local_ai.lifecycle.uninstall import Part, list_parts, remove_parts
from local_ai.settings.load import find_config_file
from local_ai.settings.paths import Paths, find_paths
from local_ai.settings.secrets import find_secrets
from local_ai.settings.state import running_paths
from local_ai.status.diagnostics import gather
from local_ai.status.figures import size_in_words
from local_ai.system_service.manage import Service
from local_ai.system_service.manage import uninstall as uninstall_service

_LOG_LINES = 500


def doctor(*, as_json: bool, fix: bool) -> int:
    """Check everything that the server needs; with `fix`, do what is safe and check again."""
    checks = _examine()
    repairs = [check.repair for check in checks if fix and check.repair]
    for repair in repairs:
        console.print_note(f"Fixing: {repair.sentence}")
        repair.run()
    if repairs:
        checks = _examine()
    code = exit_code(checks)
    if as_json:
        console.print_json(
            {
                "ok": code == 0,
                "checks": [as_plain(check) for check in checks],
                "fixed": [repair.sentence for repair in repairs],
            }
        )
    else:
        console.print_checks(checks, has_fixed=fix)
    return code


def diagnostics(*, out: str | None) -> None:
    """Write one archive for a bug report, without prompts and keys."""
    file = Path(out).expanduser() if out else Path(time.strftime("local-ai-diagnostics-%Y%m%d-%H%M%S.zip"))
    manager = ServerManager()
    paths = manager.paths
    settings = manager.settings_or_defaults()
    checks = _examine()
    write_archive(
        file,
        facts=gather(settings, paths, manager.report(), lines=_LOG_LINES),
        checks=[as_plain(check) for check in checks],
        secrets=find_secrets(settings, paths, find_config_file(None, paths)),
    )
    console.print_line(f"Written: {file.absolute()}")
    console.print_note(
        "It holds versions, settings without keys, states, the last log lines and the doctor's findings; no "
        "prompts. Names of models and folders are in it: look before you send it."
    )


def uninstall(*, yes: bool) -> None:
    """Remove what local-ai wrote on this machine, after asking: service, state, settings, data."""
    manager, service = ServerManager(), installed_service()
    parts, completions = list_parts(manager.paths), files_with_completion()
    if service is None and not completions and not any(part.entries for part in parts):
        console.print_line("There is nothing of local-ai to remove.")
        _print_left(parts, manager.paths)
        return
    is_running = manager.is_running()
    _print_plan(parts, service, completions, is_running=is_running)
    _print_left(parts, manager.paths)
    nothing, also = "nothing was removed", ", and a removal cannot be undone"
    if not yes and not console.confirm("Remove it?", nothing, also=also, command="local-ai uninstall --yes"):
        console.print_line("Nothing was removed.")
        return
    if service is not None:
        uninstall_service(service)
    if error := manager.stop().error:
        raise error
    for file in completions:
        take_block(file)
    remove_parts(list_parts(manager.paths))
    console.print_line("Removed. Remove the program itself with the tool that installed it, such as:")
    console.print_line("  uv tool uninstall local-ai")


def _print_plan(
    parts: tuple[Part, ...], service: Service | None, completions: Sequence[Path], *, is_running: bool
) -> None:
    console.print_line("This is removed:")
    if is_running:
        console.print_line(f"  {'server':<15}running; it is stopped first")
    if service is not None:
        console.print_line(f"  {'service':<15}{service.file}")
    for file in completions:
        console.print_line(f"  {'completion':<15}its lines in {file}")
    for part in parts:
        if part.entries:
            names = ", ".join(entry.name for entry in part.entries)
            size = size_in_words(part.size_bytes)
            console.print_line(f"  {part.name:<15}{size:>8}  {part.folder}: {names}")


def _print_left(parts: tuple[Part, ...], paths: Paths) -> None:
    left = [entry for part in parts for entry in part.unknown]
    if not left and not paths.hub_cache.exists():
        return
    console.print_line("This stays:")
    for entry in left:
        console.print_line(f"  {entry} (not written by local-ai)")
    if paths.hub_cache.exists():
        console.print_line(f"  {paths.hub_cache} (downloaded models, which other programs use too)")


def as_plain(check: Check) -> dict[str, Any]:
    """Write a check for programs."""
    return {
        "name": check.name,
        "outcome": check.outcome.value,
        "finding": check.finding,
        "why": check.why,
        "fix": check.whole_fix,
        "command": check.command,
        "can_fix": check.repair is not None,
    }


def _examine() -> tuple[Check, ...]:

    with console.progress(lazily=True) as say:
        manager = ServerManager(on_progress=say)
        return examine(running_paths(find_paths()), manager.report, look)

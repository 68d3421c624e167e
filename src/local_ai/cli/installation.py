"""`self.doctor` and `diagnostics`: this installation itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_ai.cli import console
from local_ai.settings.paths import find_paths

if TYPE_CHECKING:
    from local_ai.doctor.check import Check

_LOG_LINES = 500


def doctor(*, as_json: bool, fix: bool) -> int:
    """Check everything that the server needs; with `fix`, do what is safe and check again."""
    from local_ai.doctor.examine import exit_code

    checks = _examine()
    mends = [check.mend for check in checks if fix and check.mend]
    for mend in mends:
        console.print_note(f"Fixing: {mend.sentence}")
        mend.run()
    if mends:
        checks = _examine()
    code = exit_code(checks)
    if as_json:
        console.print_json(
            {
                "ok": code == 0,
                "checks": [as_plain(check) for check in checks],
                "fixed": [mend.sentence for mend in mends],
            }
        )
    else:
        console.print_checks(checks, has_fixed=fix)
    return code


def diagnostics(*, out: str | None) -> None:
    """Write one archive for a bug report, without prompts and keys."""
    from local_ai.doctor.archive import write_archive
    from local_ai.lifecycle.manager import ServerManager
    from local_ai.settings.load import find_config_file
    from local_ai.settings.secrets import find_secrets
    from local_ai.status.diagnostics import gather

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


def as_plain(check: Check) -> dict[str, Any]:
    """Write a check for programs."""
    return {
        "name": check.name,
        "outcome": check.outcome.value,
        "finding": check.finding,
        "why": check.why,
        "fix": check.fix,
        "can_fix": check.mend is not None,
    }


def _examine() -> tuple[Check, ...]:
    from local_ai.cli.service import look
    from local_ai.doctor.examine import examine
    from local_ai.lifecycle.manager import ServerManager

    with console.progress(lazily=True) as say:
        manager = ServerManager(on_progress=say)
        return examine(find_paths(), manager.report, look)

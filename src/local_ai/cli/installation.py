"""`self.doctor`: this installation itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_ai.cli import console
from local_ai.settings.paths import find_paths

if TYPE_CHECKING:
    from local_ai.doctor.check import Check


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

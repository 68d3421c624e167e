"""One archive for a bug report: versions, settings, states, logs, the doctor's findings; no secrets."""

import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local_ai.errors import ConfigError, LocalAIError
from local_ai.settings.secrets import hide

_README = """\
What local-ai knows of itself: versions, settings without secrets, states, the last lines of its logs, and
what `local-ai doctor` found. It holds no prompts, answers or keys; names of models and folders are in it.
"""


def write_archive(
    file: Path,
    *,
    facts: Mapping[str, Any],
    checks: Iterable[Mapping[str, Any]],
    secrets: Iterable[str],
) -> None:
    """Write the archive, readable by its owner alone; never over a file.

    Args:
        facts: As `status.diagnostics.gather` returns them.
        checks: The doctor's, as plain objects.
        secrets: Texts that are hidden wherever they are.

    Raises:
        LocalAIError: It cannot be written.
    """
    hidden = list(secrets)
    facts, checks = hide(facts, hidden), hide(list(checks), hidden)
    members = {
        "README.txt": _README,
        **{f"{name}.json": _json(facts[name]) for name in ("versions", "settings", "status")},
        "doctor.json": _json(checks),
        **{
            f"logs/{name}.log": "".join(f"{line}\n" for line in lines)
            for name, lines in facts["logs"].items()
        },
    }
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise ConfigError(
            "the archive was not written", why=f"{file} exists", fix="name another file with --out"
        ) from exc
    except OSError as exc:
        raise _unwritable(file, exc) from exc
    try:
        with os.fdopen(handle, "wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in members.items():
                archive.writestr(name, text)
    except OSError as exc:
        file.unlink(missing_ok=True)
        raise _unwritable(file, exc) from exc


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def _unwritable(file: Path, exc: OSError) -> LocalAIError:
    return LocalAIError(
        "the archive was not written", why=f"{file}: {exc.strerror}", fix="name another file with --out"
    )

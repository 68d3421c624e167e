"""`cluster.check`: whether the machines of `[cluster]` can compute a model together."""

import sys
from dataclasses import asdict
from pathlib import Path

from local_ai.cli import console
from local_ai.cli.commands.installation import as_plain
from local_ai.cli.run import load_settings
from local_ai.doctor.cluster import check_cluster, check_split
from local_ai.doctor.examine import exit_code
from local_ai.models.library import library_for
from local_ai.settings.paths import find_paths


def check(*, as_json: bool) -> int:
    """Check each host, and measure the way to it; return the exit code."""
    settings = load_settings(None, {}).settings
    library = library_for(settings, find_paths().with_model_folders(settings.models.paths))
    model, python = library.default, Path(sys.executable)
    found = check_cluster(settings.cluster, model, python)
    checks = found.checks
    if settings.cluster.is_on and model is not None:
        trusts = settings.model.trust_remote_code
        checks += (check_split(settings.cluster, model, python, trust_remote_code=trusts),)
    code = exit_code(checks)
    if as_json:
        links = [{"host": host, **asdict(link)} for host, link in found.links.items()]
        plain = [as_plain(each) for each in checks]
        console.print_json({"ok": code == 0, "checks": plain, "links": links})
    else:
        console.print_checks(checks, has_fixed=True)
    return code

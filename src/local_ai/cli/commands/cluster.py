"""`cluster.check`: whether the machines of `[cluster]` can compute a model together."""

from __future__ import annotations

import sys
from pathlib import Path

from local_ai.cli import console
from local_ai.cli.commands.installation import as_plain
from local_ai.cli.run import load_settings
from local_ai.models.library import library_for
from local_ai.settings.paths import find_paths


def check(*, as_json: bool) -> int:
    """Check each host, and measure the way to it; return the exit code."""
    from local_ai.doctor.cluster import check_cluster
    from local_ai.doctor.examine import exit_code

    settings = load_settings(None, {}).settings
    library = library_for(settings, find_paths().with_model_folders(settings.models.paths))
    found = check_cluster(settings.cluster, library.default, Path(sys.executable))
    code = exit_code(found.checks)
    if as_json:
        links = [
            {"host": host, "latency_s": link.latency_s, "bytes_per_s": link.bytes_per_s}
            for host, link in found.links.items()
        ]
        checks = [as_plain(each) for each in found.checks]
        console.print_json({"ok": code == 0, "checks": checks, "links": links})
    else:
        console.print_checks(found.checks, has_fixed=True)
    return code

"""`inv`'s way in: the commands of local-ai, and `inv check` for those who change it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from invoke import Context, Exit, task

from local_ai.cli.tasks import namespace, read_as_local_ai

# Advisories that have to stand for as long as there is no fix, each with the reason.
ALLOWED_ADVISORIES: dict[str, str] = {}
_CHECK_MINUTES = 12  # on two quiet cores
_FOUND_NOTHING, _FOUND_SOMETHING = 0, 1


@task(help={"service": "address of an OSV service other than https://api.osv.dev"})
def audit(context: Context, service: str = "") -> None:
    """Look up known vulnerabilities of what the lock has; says so where it could not look."""
    words = ["uv audit --locked", *(f"--ignore-until-fixed {name}" for name in ALLOWED_ADVISORIES)]
    if service:
        words.append(f"--service-url {service}")
    done = context.run(" ".join(words), warn=True)
    assert done is not None
    if done.exited in {_FOUND_NOTHING, _FOUND_SOMETHING}:
        raise Exit(code=done.exited)
    if "error sending request" not in done.stderr:
        raise Exit("error: the audit failed\n  why: see above; nothing was looked up", code=done.exited)
    sys.stderr.write("SKIPPED: the advisory service cannot be reached, so nothing was audited\n")


@task(help={"fix": "let ruff fix what it can"})
def check(context: Context, fix: bool = False) -> None:
    """Run everything CI runs: format, lint, types, tests."""
    from tests.waits import slowness

    # Written at once, also where a pipe reads it.
    sys.stdout.write(
        f"format, lint, types, tests: about {_CHECK_MINUTES * slowness():.0f} minutes on this machine\n"
    )
    sys.stdout.flush()
    context.run("ruff format ." if fix else "ruff format --check .")
    context.run("ruff check --fix ." if fix else "ruff check .")
    context.run("mypy")
    # Most tests wait for processes. By file, so that those that share a server run one after another, in the
    # order that tests/conftest.py gives them.
    context.run("pytest -n 4 --dist loadfile --no-loadscope-reorder", pty=False)


@task(
    help={
        "only": "suites, with commas: cli,lifecycle,models,chat,gateway,streams,page,several,remembered",
        "rounds": "rounds of each",
        "quick": "one round: to see that it works",
        "json": "print JSON instead of tables",
        "out": "folder for results.json, report.md, plot.svg and summary.svg (bench-results)",
    }
)
def bench(
    context: Context,
    only: str = "",
    rounds: str = "",
    quick: bool = False,
    json: bool = False,
    out: str = "",
) -> None:
    """Measure beside the peers that install here, in one run; twelve minutes on two cores."""
    given = {"--only": only, "--rounds": rounds, "--out": out}
    words = [word for option, value in given.items() if value for word in (option, value)]
    words += [option for option, is_set in {"--quick": quick, "--json": json}.items() if is_set]
    context.run(shlex.join([sys.executable, "-m", "benchmarks", *words]))


@task()
def docs(_context: Context) -> None:
    """Write what docs/openapi.json says of requests and of the gateway's own endpoints, from the code."""
    from local_ai.engine.api.document import with_requests
    from local_ai.gateway.context import make_context
    from local_ai.gateway.endpoints.own_routes import Document, make_own_app
    from local_ai.settings.paths import find_paths
    from local_ai.settings.schema import LocalAISettings
    from local_ai.settings.state import make_state

    file = Path(__file__).parent / "docs" / "openapi.json"
    gateway = make_context(make_state(LocalAISettings(), find_paths()))
    served = Document(make_own_app(gateway, {})).whole
    document = with_requests(served | {"info": json.loads(file.read_text())["info"]})
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


ns = namespace()
ns.add_task(docs)
ns.add_task(check)
ns.add_task(bench)
ns.add_task(audit)
read_as_local_ai(ns, sys.argv[0], sys.argv[1:])

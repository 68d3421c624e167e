"""`inv`'s way in: the commands of local-ai, and `inv check` for those who change it."""

from __future__ import annotations

from invoke import Context, task

from local_ai.cli import namespace


@task(help={"fix": "let ruff mend what it can"})
def check(context: Context, fix: bool = False) -> None:
    """Run everything CI runs: format, lint, types, tests."""
    context.run("ruff format ." if fix else "ruff format --check .")
    context.run("ruff check --fix ." if fix else "ruff check .")
    context.run("mypy")
    context.run("pytest", pty=False)


ns = namespace()
ns.add_task(check)

"""`client.env`, `launch`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import NoReturn

from local_ai.cli import console
from local_ai.cli.commands.models import look
from local_ai.clients import CLIENTS, PROGRAMS, Endpoint, export_lines, past_proxies
from local_ai.errors import ConfigError, LocalAIError
from local_ai.status.report import Report


def show_environment(*, client: str, shell: str) -> None:
    """Print the exports for a client, to be evaluated by a shell."""
    if client in PROGRAMS and client not in CLIENTS:
        raise ConfigError(
            "there is nothing to export",
            why=f"{client} takes its server from its command line, not from its environment",
            command=f"local-ai client launch {client}",
        )
    endpoint = _endpoint(_report())
    for line in export_lines(CLIENTS[client](endpoint) | past_proxies(endpoint, os.environ), shell):
        console.print_line(line)


def launch(client: str, *, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by the client's program, with its environment set; write nothing to its files.

    Args:
        arguments: The words after `--`.
    """
    program = PROGRAMS[client]
    report = _report()
    if not report.is_running:
        raise LocalAIError(
            f"{client} was not started",
            why="the server that it would use is not running",
            command="local-ai server start",
            exit_code=3,
        )
    if shutil.which(program.name) is None:
        raise LocalAIError(
            f"{client} was not started",
            why=f"there is no program {program.name} on the PATH",
            fix=f"install {client}, then run",
            command=f"local-ai client launch {client}",
        )
    endpoint = _endpoint(report)
    environment = os.environ | program.environment(endpoint) | past_proxies(endpoint, os.environ)
    words = [program.name, *program.arguments(endpoint), *arguments]
    os.execvpe(program.name, words, environment)


def _report() -> Report:
    from local_ai.lifecycle.manager import ServerManager

    return ServerManager().report()


def _endpoint(report: Report) -> Endpoint:
    if report.default_model is None:
        raise LocalAIError(
            "there is no model to name to a client",
            why="no model was found on this machine",
            fix="local-ai server start prepares the starter model",
        )
    shelf = look()
    keys = shelf.settings.server.api_keys
    key = keys[0].get_secret_value() if keys else "local"
    model = shelf.library.find(report.default_model)
    return Endpoint(
        report.openai_url,
        report.anthropic_url,
        report.default_model,
        key,
        context_tokens=model.context_tokens if model else None,
    )

"""`client.env`, `launch`, `configure`."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from local_ai.cli import console
from local_ai.cli.commands.models import look, not_found
from local_ai.clients.codex import make_catalogue, read_catalogue, setting
from local_ai.clients.configure import Change, make_change, plan_change
from local_ai.clients.endpoint import NO_KEY, Endpoint, Needs
from local_ai.clients.files import FILES
from local_ai.clients.launch import CLIENTS, PROGRAMS, doubts, export_lines, model_in, past_proxies
from local_ai.engine.formats.folder import read_format
from local_ai.errors import ConfigError, LocalAIError
from local_ai.models.catalog import Model
from local_ai.settings.paths import find_paths
from local_ai.settings.state import write_private
from local_ai.status.report import Report


def show_environment(*, client: str, shell: str) -> None:
    """Print the exports for a client, to be evaluated by a shell."""
    if client in PROGRAMS and client not in CLIENTS:
        raise ConfigError(
            "there is nothing to export",
            why=f"{client} takes its server from its command line, not from its environment",
            command=f"local-ai client launch {client}",
        )
    if client in FILES:
        raise _configured_instead("there is nothing to export", client)
    endpoint, _ = _endpoint_of(_report(), None, None)
    for line in export_lines(CLIENTS[client](endpoint) | past_proxies(endpoint, os.environ), shell):
        console.print_line(line)


def launch(client: str, *, model: str | None, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by the client's program, with its environment set; write nothing to its files.

    Args:
        model: That it should use; None: the one that its own words name, else the default.
        arguments: The words after `--`.
    """
    if client in FILES:
        raise _configured_instead(f"{client} was not started", client)
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
    endpoint, found = _endpoint_of(report, model, model_in(arguments))
    _warn(client, program.needs, endpoint, found)
    environment = os.environ | program.environment(endpoint) | past_proxies(endpoint, os.environ)
    words = [program.name, *program.arguments(endpoint), *arguments]
    if client == "codex":
        words[1:1] = _catalogue_words(endpoint)
    os.execvpe(program.name, words, environment)


def _warn(client: str, needs: Needs, endpoint: Endpoint, model: Model | None) -> None:
    knows_tools = read_format(model.path).knows_tools if model else True
    for doubt in doubts(client, needs, endpoint, knows_tools=knows_tools):
        console.print_warning(doubt)


def _configured_instead(what: str, client: str) -> ConfigError:
    return ConfigError(
        what,
        why=f"{client} reads its servers from a file of its own alone",
        command=f"local-ai client configure {client}",
    )


def _catalogue_words(endpoint: Endpoint) -> tuple[str, ...]:
    """Write Codex's catalogue to our state folder, and return the words that name it; none without one."""
    catalogue = make_catalogue(read_catalogue(), endpoint)
    if catalogue is None:
        return ()
    file = find_paths().codex_catalogue
    write_private(file, catalogue)
    return setting("model_catalog_json", str(file))


def configure(client: str, *, model: str | None, undo: bool, yes: bool) -> None:
    """Name this server in a client's own file, after showing the change and asking; `undo` takes it back."""
    if client not in FILES:
        raise ConfigError(
            "there is nothing to write",
            why=f"{client} is told its server when it is run, and its files stay as they are",
            command=f"local-ai client launch {client}",
        )
    kind = FILES[client]
    file = kind.place(os.environ, Path.home())
    if undo:
        change = plan_change(client, file, kind.taken_back)
        if not change.diff:
            console.print_line(f"There is nothing of local-ai in {file}.")
            return
        _show_and_make(change, yes=yes, command=f"local-ai client configure {client} --undo --yes")
        return
    endpoint, found = _endpoint_of(_report(), model, None)
    _warn(client, kind.needs, endpoint, found)
    change = plan_change(client, file, lambda text: kind.written(text, endpoint))
    if not change.diff:
        console.print_line(f"{file} names this server and {endpoint.model} already.")
    elif not _show_and_make(change, yes=yes, command=f"local-ai client configure {client} --yes"):
        return
    if endpoint.key != NO_KEY and file.stat().st_mode & 0o077:
        console.print_warning(f"{file} holds the server's key, and other users may read it: chmod 600 {file}")
    console.print_line(f"  use it  {kind.usage(endpoint)}")
    console.print_line(f"  undo    local-ai client configure {client} --undo")
    if shutil.which(kind.program) is None:
        console.print_warning(f"there is no program {kind.program} on the PATH")


def _show_and_make(change: Change, *, yes: bool, command: str) -> bool:
    """Show a change, ask, and make it; say whether it was made."""
    for line in change.diff:
        console.print_line(line)
    question = "Write it?" if change.after is not None else "Remove the file?"
    what = f"the settings of {change.client} were not changed"
    if not yes and not console.confirm(question, what, fix="if you want this change", command=command):
        console.print_line("Nothing was changed.")
        return False
    make_change(change)
    console.print_line(f"{'Removed' if change.after is None else 'Written'}: {change.file}")
    return True


def _report() -> Report:
    from local_ai.lifecycle.manager import ServerManager

    return ServerManager().report()


def _endpoint_of(report: Report, asked: str | None, named: str | None) -> tuple[Endpoint, Model | None]:
    """Describe the server to a client, with the figures of the model that will answer.

    Args:
        asked: The model of `--model`, which must be here.
        named: The model that the client's own words name.

    Raises:
        ConfigError: No model goes by the name of `--model`.
        LocalAIError: There is no model at all.
    """
    shelf = look()
    name = asked or named or report.default_model
    if name is None:
        raise LocalAIError(
            "there is no model to name to a client",
            why="no model was found on this machine",
            fix="local-ai server start prepares the starter model",
        )
    model = shelf.library.find(name)
    if model is None and asked:
        raise not_found(asked, shelf)
    if model is None:
        console.print_warning(f"{name!r} is neither a model on this machine nor an alias of one")
    keys = shelf.settings.server.api_keys
    key = keys[0].get_secret_value() if keys else NO_KEY
    context = model.context_tokens if model else None
    return Endpoint(report.openai_url, report.anthropic_url, name, key, context_tokens=context), model

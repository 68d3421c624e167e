"""The commands as invoke's tasks: `local-ai server start` in a checkout, `local-ai server start` anywhere."""

from __future__ import annotations

import difflib
import functools
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, NoReturn

from invoke import Argument, Collection, Context, Exit, ParseError, Program, task

from local_ai.cli import client as client_commands
from local_ai.cli import config as config_commands
from local_ai.cli import models as model_commands
from local_ai.cli import server as server_commands
from local_ai.cli.run import EXIT_USAGE, guarded
from local_ai.supervision.program import ENGINE

# Of invoke's options, those that a command of ours has a use for.
_OWN_OPTIONS = {"--help", "-h", "--list", "-l", "--version", "-V", "--print-completion-script"}
_CONFIG_HELP = "settings file instead of ./config.toml or the user's"


def command(**options: Any) -> Callable[[Callable[..., int | None]], Any]:
    """Make a task whose expected failures end in words and an exit code, also under plain `inv`."""

    def decorate(function: Callable[..., int | None]) -> Any:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            if code := guarded(function, *args, **kwargs):
                raise Exit(code=code)

        return task(auto_shortflags=False, **options)(run)

    return decorate


_START_HELP = {
    "host": "address to listen on (server.host)",
    "port": "port to listen on (server.port)",
    "model": "default model, by name or folder (model.path)",
    "config": _CONFIG_HELP,
    "log-level": "DEBUG, INFO, WARNING or ERROR (server.log_level)",
    "foreground": "stay until the server ends; Ctrl-C stops it",
    "timeout": "longest wait for readiness, in seconds",
}


@command(help=_START_HELP)
def start(
    context: Context,
    host: str | None = None,
    port: str | None = None,
    model: str | None = None,
    config: str | None = None,
    log_level: str | None = None,
    foreground: bool = False,
    timeout: str = "120",
) -> None:
    """Start the server, wait until it answers, print its addresses."""
    server_commands.start(
        host=host,
        port=port,
        model=model,
        log_level=log_level,
        config=config,
        foreground=foreground,
        timeout=timeout,
    )


@command(
    help={
        "force": "end it with SIGKILL at once, also when it does not answer",
        "timeout": "longest wait after SIGTERM before SIGKILL, in seconds",
    }
)
def stop(context: Context, force: bool = False, timeout: str = "10") -> None:
    """Stop the server; says whether it had to be killed."""
    server_commands.stop(force=force, timeout=timeout)


@command(help={name: text for name, text in _START_HELP.items() if name != "foreground"})
def restart(
    context: Context,
    host: str | None = None,
    port: str | None = None,
    model: str | None = None,
    config: str | None = None,
    log_level: str | None = None,
    timeout: str = "120",
) -> None:
    """Stop and start again with fresh settings; wrong settings leave the running server alone."""
    server_commands.restart(
        host=host, port=port, model=model, log_level=log_level, config=config, timeout=timeout
    )


@command(
    default=True,
    help={"json": "print it for programs", "deep": "ask the engine for one token: tells wedged from busy"},
)
def status(context: Context, json: bool = False, deep: bool = False) -> int:
    """Show how the server is: exit code 0 ready, 3 not running or not ready, 4 no answer."""
    return server_commands.status(as_json=json, deep=deep)


@command(
    help={
        "program": f"whose log: {', '.join(server_commands.LOG_NAMES)}",
        "lines": "how many of the last lines",
        "follow": "go on with what is written from now on, until Ctrl-C",
    }
)
def logs(context: Context, program: str = ENGINE, lines: str = "50", follow: bool = False) -> None:
    """Show a program's log, and follow it across rotation."""
    server_commands.logs(program=program, lines=lines, follow=follow)


@command(default=True, help={"json": "print it for programs", "config": _CONFIG_HELP})
def show(context: Context, json: bool = False, config: str | None = None) -> None:
    """Show every setting, its value and where the value came from."""
    config_commands.show(config=config, as_json=json)


@command(help={"config": _CONFIG_HELP})
def check(context: Context, config: str | None = None) -> None:
    """Check the settings without starting anything."""
    config_commands.check(config=config)


@command(help={"config": "where to write it, instead of the user's settings folder"})
def init(context: Context, config: str | None = None) -> None:
    """Write a commented settings file; never over an existing one."""
    config_commands.init(config=config)


@command(default=True, name="list", help={"json": "print it for programs"})
def list_models(context: Context, json: bool = False) -> None:
    """List every model on this machine: size, quantisation, context, where it lies, whether loaded."""
    model_commands.show_list(as_json=json)


@command(help={"name": "the model's name or folder", "json": "print it for programs"})
def info(context: Context, name: str, json: bool = False) -> None:
    """Show everything known of one model."""
    model_commands.info(name, as_json=json)


@command(help={"name": "the model's name", "config": _CONFIG_HELP})
def use(context: Context, name: str, config: str | None = None) -> None:
    """Make a model the default; the settings file keeps its comments."""
    model_commands.use(name, config=config)


@command(
    help={
        "name": "its name on the hub, such as mlx-community/Llama-3.2-3B-Instruct-4bit",
        "revision": "branch, tag or commit instead of main",
        "even-if-too-large": "download it although this machine's memory cannot hold it",
        "json": "print the result for programs",
    }
)
def pull(
    context: Context,
    name: str,
    revision: str | None = None,
    even_if_too_large: bool = False,
    json: bool = False,
) -> None:
    """Download a model from the Hugging Face hub; an interrupted one goes on where it stopped."""
    from local_ai.cli.pull import pull as pull_model

    pull_model(name, revision=revision, even_if_too_large=even_if_too_large, as_json=json)


@command(help={"name": "the model's name or folder", "yes": "do not ask"})
def remove(context: Context, name: str, yes: bool = False) -> None:
    """Remove a model from this machine, after asking; never one that is in use."""
    from local_ai.cli.remove import remove as remove_model

    remove_model(name, yes=yes)


@command()
def unload(context: Context) -> None:
    """Put the loaded model's memory back now; answers that run are waited for."""
    model_commands.unload()


@command(default=True, help={"for": "openai, anthropic or claude-code", "shell": "bash, zsh or fish"})
def env(context: Context, for_: str = "openai", shell: str = "bash") -> None:
    """Print what a client wants in its environment: eval "$(local-ai client env --for claude-code)"."""
    client_commands.show_environment(client=for_, shell=shell)


@command(help={"client": "claude-code or codex"})
def launch(context: Context, client: str) -> None:
    """Run a client on this server: local-ai client launch claude-code -- its own words."""
    client_commands.launch(client, arguments=context.remainder)


def namespace() -> Collection:
    """Return the collections of commands, each with its default."""
    models = Collection("models", list_models, info, use, pull, remove, unload)
    client = Collection("client", env, launch)
    server = Collection("server", start, stop, restart, status, logs)
    return Collection(server, models, client, Collection("config", show, check, init))


class LocalAIProgram(Program):
    """The console script: `local-ai server start` as well as `local-ai server.start`."""

    def print_help(self) -> None:
        """Print the commands; invoke's own options are for other programs than a server's."""
        lines = [
            f"local-ai {self.version}: one local endpoint for large language models, managed like a service."
        ]
        lines += ["", "Usage: local-ai COMMAND [--options], for example: local-ai server start", ""]
        for name, collection in namespace().collections.items():
            for word, one in collection.tasks.items():
                summary = (one.__doc__ or "").splitlines()[0]
                lines.append(f"  {name} {word:<{18 - len(name)}}{summary}")
        lines += ["", "Options of a command: local-ai --help server.start. Settings: local-ai config show."]
        lines += ["Completion: local-ai --print-completion-script zsh|bash|fish."]
        sys.stdout.write("\n".join(lines) + "\n")

    def normalize_argv(self, argv: list[str] | None) -> None:
        super().normalize_argv(argv)
        collections = set(namespace().collections)
        if len(self.argv) > 2 and self.argv[1] in collections and not self.argv[2].startswith("-"):
            self.argv[1:3] = [f"{self.argv[1]}.{self.argv[2]}"]
        if "--" in self.argv:
            # invoke joins the words behind it with spaces; as one quoted word they come back as they were.
            end = self.argv.index("--") + 1
            self.argv[end:] = [shlex.join(self.argv[end:])]
        self._refuse_foreign_options()

    def _refuse_foreign_options(self) -> None:
        """Refuse invoke's own options: they would be taken, and mean nothing to a server."""
        words = self.argv[1 : self.argv.index("--") if "--" in self.argv else None]
        if "--complete" in words:
            return
        tasks = {context.name: context.flags for context in namespace().to_contexts()}
        named = next((word for word in words if word in tasks), None)
        foreign = {flag for one in (*self.core_args(), *self.task_args()) for flag in _flags(one)}
        for word in words:
            flag = word.partition("=")[0]
            if flag in foreign - _OWN_OPTIONS and flag not in tasks.get(named, ()):
                _usage_error(ParseError(f"{named or 'local-ai'} has no option {flag}"))

    def parse_collection(self) -> None:
        try:
            super().parse_collection()
        except ParseError as exc:
            _usage_error(exc)

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as exc:
            _usage_error(exc)


def _flags(argument: Argument) -> Iterator[str]:
    return (f"--{name}" if len(name) > 1 else f"-{name}" for name in argument.names)


def run() -> None:
    """Run what the command line says, through invoke."""
    LocalAIProgram(
        name="local-ai", binary="local-ai", namespace=namespace(), version=version("local-ai")
    ).run()


def _usage_error(exc: ParseError) -> NoReturn:
    sys.stderr.write(f"error: {_in_words(str(exc))}\n  fix: {_suggestion(str(exc))}\n")
    raise Exit(code=EXIT_USAGE)


_UNKNOWN = re.compile(r"No idea what '(.+)' is!")


def _in_words(message: str) -> str:
    unknown = _UNKNOWN.match(message)
    if unknown is None:
        return message
    return f"there is no {'option' if unknown[1].startswith('-') else 'command'} {unknown[1]}"


def _suggestion(message: str) -> str:
    """Tell what was probably meant, or where to look."""
    unknown = _UNKNOWN.match(message)
    word = unknown[1] if unknown else ""
    contexts = namespace().to_contexts()
    known = {str(flag) for each in contexts for flag in (*each.flags, each.name)}
    near = difflib.get_close_matches(word, sorted(known), n=1)
    looks = "local-ai --list shows the commands, local-ai --help COMMAND its options"
    return f"did you mean {near[0]}? {looks}" if near else looks

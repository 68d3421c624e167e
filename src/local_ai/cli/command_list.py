"""Every command: the one place that names them, their options, defaults and allowed values."""

from __future__ import annotations

from local_ai.cli.declaration import Argument, Command, Option
from local_ai.clients.files import FILES
from local_ai.clients.launch import CLIENTS, PROGRAMS, SHELLS
from local_ai.supervision.omni import PART_NAMES
from local_ai.supervision.program import ENGINE, GATEWAY, LOG_NAMES

_SERVER = "local_ai.cli.commands.server"
_CONFIG = "local_ai.cli.commands.config"
_MODELS = "local_ai.cli.commands.models"
_CACHE = "local_ai.cli.commands.cache"
_CLIENT = "local_ai.cli.commands.client"
_SERVICE = "local_ai.cli.commands.service"
_CLUSTER = "local_ai.cli.commands.cluster"
_OMNI = "local_ai.cli.commands.omni"
_COMPLETION = "local_ai.cli.commands.completion"
_SELF = "local_ai.cli.commands.installation"

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_JSON = Option("--json", "print the result as JSON, for programs", parameter="as_json")
_FILE = Option(
    "--config",
    "settings file",
    "FILE",
    shown_default="./config.toml, else the user's",
    is_file=True,
)
_START = (
    Option("--host", "address to listen on", "ADDRESS", shown_default="server.host, 127.0.0.1"),
    Option("--port", "port to listen on", "PORT", shown_default="server.port, 8080"),
    Option(
        "--model",
        "default model, by name or folder",
        "NAME",
        shown_default="model.path, else a model found here",
        is_model=True,
    ),
    _FILE,
    Option(
        "--log-level",
        "what the logs hold",
        "LEVEL",
        shown_default="server.log_level, INFO",
        values=_LEVELS,
    ),
)
_WAIT = Option("--timeout", "longest wait for readiness, in seconds", "SECONDS", default="120")
_NAME = Argument("name", "the model's name or folder", is_model=True)

COMMANDS = (
    Command(
        "server",
        "start",
        "Start the server, wait until it answers, print its addresses.",
        "--port 9000",
        f"{_SERVER}:start",
        (*_START, Option("--foreground", "stay until the server ends; Ctrl-C stops it"), _WAIT),
    ),
    Command(
        "server",
        "stop",
        "Stop the server; says whether it had to be killed.",
        "--timeout 60",
        f"{_SERVER}:stop",
        (
            Option("--force", "end it with SIGKILL at once, also when it does not answer"),
            Option("--timeout", "longest wait after SIGTERM before SIGKILL, in seconds", "SECONDS", "10"),
        ),
    ),
    Command(
        "server",
        "restart",
        "Stop and start again with fresh settings; wrong ones leave the server alone.",
        "--model org/name",
        f"{_SERVER}:restart",
        (*_START, _WAIT),
    ),
    Command(
        "server",
        "status",
        "Show the server's state; exit code 0 ready, 3 not running or not ready, 4 no answer.",
        "--json",
        f"{_SERVER}:status",
        (_JSON, Option("--deep", "ask the engine for one token: shows whether it is busy or stuck")),
        is_default=True,
    ),
    Command(
        "server",
        "logs",
        "Show a program's log, and follow it across rotation.",
        "--program gateway --follow",
        f"{_SERVER}:logs",
        (
            Option(
                "--program",
                "the program (engine and gateway name the first two)",
                "PROGRAM",
                ENGINE,
                values=LOG_NAMES,
                other_names={"engine": ENGINE, "gateway": GATEWAY},
            ),
            Option("--lines", "number of last lines to print", "COUNT", "50"),
            Option("--follow", "keep printing new lines, until Ctrl-C"),
            Option("--json", "print one JSON object a line, for programs", parameter="as_json"),
        ),
    ),
    Command(
        "models",
        "list",
        "List the models on this machine: size, context, place, whether loaded.",
        "--json",
        f"{_MODELS}:show_list",
        (_JSON,),
        is_default=True,
    ),
    Command(
        "models",
        "info",
        "Show everything known about one model.",
        "org/name",
        f"{_MODELS}:info",
        (_JSON,),
        _NAME,
    ),
    Command(
        "models",
        "use",
        "Make a model the default; the settings file keeps its comments.",
        "org/name",
        f"{_MODELS}:use",
        (_FILE,),
        _NAME,
    ),
    Command(
        "models",
        "pull",
        "Download a model from the Hugging Face hub, or continue an interrupted download.",
        "mlx-community/Llama-3.2-3B-Instruct-4bit",
        "local_ai.cli.commands.pull:pull",
        (
            Option("--revision", "branch, tag or commit", "REVISION", shown_default="main"),
            Option("--even-if-too-large", "download it although this machine's memory cannot hold it"),
            _JSON,
        ),
        Argument("name", "a model's name on the hub, or the address of its page there", is_model=True),
    ),
    Command(
        "models",
        "remove",
        "Remove a model from this machine, after asking; never one that is in use.",
        "org/name --yes",
        "local_ai.cli.commands.remove:remove",
        (Option("--yes", "do not ask"),),
        _NAME,
    ),
    Command(
        "models",
        "unload",
        "Give a loaded model's memory back now, or that of all; running answers are waited for.",
        "",
        f"{_MODELS}:unload",
        (),
        Argument("name", "a model's name or folder", is_model=True, shown_default="all of them"),
    ),
    Command(
        "models",
        "pin",
        "Load a model and keep it: it is unloaded neither when idle nor for another one.",
        "org/name",
        f"{_MODELS}:pin",
        (),
        _NAME,
    ),
    Command(
        "models",
        "unpin",
        "Let a pinned model be unloaded again like any other.",
        "org/name",
        f"{_MODELS}:unpin",
        (),
        _NAME,
    ),
    Command(
        "cache",
        "show",
        "Show the prompts remembered on disk: size, models, and bytes written.",
        "--json",
        f"{_CACHE}:show",
        (_JSON,),
        is_default=True,
    ),
    Command(
        "cache",
        "clear",
        "Remove the prompts remembered on disk, of one model or of all.",
        "--model org/name",
        f"{_CACHE}:clear",
        (Option("--model", "the model whose prompts go", "NAME", shown_default="all models", is_model=True),),
    ),
    Command(
        "client",
        "env",
        "Print the environment variables that a client needs, for a shell to evaluate.",
        "--for claude-code",
        f"{_CLIENT}:show_environment",
        (
            Option(
                "--for",
                "which client",
                "CLIENT",
                "openai",
                values=tuple(CLIENTS),
                # Refused in words.
                other_names={name: name for name in (*PROGRAMS, *FILES) if name not in CLIENTS},
                parameter="client",
            ),
            Option("--shell", "whose syntax", "SHELL", "bash", values=SHELLS),
        ),
        is_default=True,
    ),
    Command(
        "client",
        "launch",
        "Run a client on this server; words after -- are passed to the client.",
        "codex -- exec 'say hello'",
        f"{_CLIENT}:launch",
        (
            Option(
                "--model",
                "the model it uses",
                "NAME",
                shown_default="the one that its own words name, else the default",
                is_model=True,
            ),
        ),
        argument=Argument(
            "client", "the client to run", tuple(PROGRAMS), other_names={name: name for name in FILES}
        ),
        takes_rest=True,
    ),
    Command(
        "client",
        "configure",
        "Name this server in a client's own file, after showing the change and asking.",
        "pi",
        f"{_CLIENT}:configure",
        (
            Option("--model", "the model it uses", "NAME", shown_default="the default one", is_model=True),
            Option("--undo", "take our part out of the file again"),
            Option("--yes", "do not ask"),
        ),
        Argument(
            "client", "the client to configure", tuple(FILES), other_names={name: name for name in PROGRAMS}
        ),
    ),
    Command(
        "service",
        "install",
        "Have the system start the server now and at each login; run it again to update the service.",
        "--boot",
        f"{_SERVICE}:install",
        (Option("--boot", "start it with the machine, before anybody logs in"), _FILE),
    ),
    Command(
        "service",
        "uninstall",
        "Stop the service; the system no longer starts the server.",
        "",
        f"{_SERVICE}:uninstall",
    ),
    Command(
        "service",
        "status",
        "Show whether the service is installed, up to date and running: exit code 0, or 3.",
        "--json",
        f"{_SERVICE}:status",
        (_JSON,),
        is_default=True,
    ),
    Command(
        "cluster",
        "check",
        "Check the machines of [cluster]: ssh, versions, model, ports, latency and bandwidth.",
        "--json",
        f"{_CLUSTER}:check",
        (_JSON,),
        is_default=True,
    ),
    Command(
        "omni",
        "parts",
        "List speech, transcription and images: installed or not, or impossible here.",
        "--json",
        f"{_OMNI}:show_parts",
        (_JSON,),
        is_default=True,
    ),
    Command(
        "omni",
        "install",
        "Install speech, transcription or images into an environment of their own.",
        "transcription",
        f"{_OMNI}:install",
        (_JSON,),
        Argument("part", "what to install", PART_NAMES),
    ),
    Command(
        "config",
        "show",
        "Show every setting, its value and where the value came from.",
        "--json",
        f"{_CONFIG}:show",
        (_JSON, _FILE),
        is_default=True,
    ),
    Command(
        "config",
        "check",
        "Check the settings without starting anything.",
        "--config config.toml",
        f"{_CONFIG}:check",
        (_FILE,),
    ),
    Command(
        "config",
        "reload",
        "Have the running server take changed settings, without a restart where it can.",
        "",
        f"{_CONFIG}:reload",
        (_JSON,),
    ),
    Command(
        "config",
        "init",
        "Write a commented settings file; never over an existing one.",
        "",
        f"{_CONFIG}:init",
        (
            Option(
                "--config",
                "where to write it",
                "FILE",
                shown_default="the user's settings folder",
                is_file=True,
            ),
        ),
    ),
    Command(
        "completion",
        "install",
        "Have your shell complete commands, options and models; says which file it writes.",
        "zsh",
        f"{_COMPLETION}:install",
        (Option("--undo", "take it out again"),),
        Argument("shell", "the shell", ("bash", "zsh", "fish"), shown_default="the one of $SHELL"),
        is_default=True,
    ),
    Command(
        "self",
        "doctor",
        "Check everything that the server needs: one line each, with reason and fix.",
        "--fix",
        f"{_SELF}:doctor",
        (_JSON, Option("--fix", "do the safe fixes, and name each one first")),
        is_default=True,
    ),
    Command(
        "self",
        "diagnostics",
        "Write one archive for a bug report: no prompts, no keys.",
        "--out report.zip",
        f"{_SELF}:diagnostics",
        (
            Option(
                "--out",
                "where to write it",
                "FILE",
                shown_default="local-ai-diagnostics-DATE.zip here",
                is_file=True,
            ),
        ),
    ),
    Command(
        "self",
        "uninstall",
        "Remove what local-ai wrote here, after asking; downloaded models stay.",
        "--yes",
        f"{_SELF}:uninstall",
        (Option("--yes", "do not ask"),),
    ),
)
GROUPS = {
    "server": "the server and its programs",
    "models": "the models on this machine",
    "cache": "remembered prompts on disk",
    "client": "clients of the server",
    "service": "the server as a service of the system",
    "cluster": "one model over several machines",
    "omni": "speech, transcription and images",
    "config": "the settings",
    "completion": "completion in the shell",
    "self": "this installation of local-ai",
}
# What each means: its group.
SHORT_FORMS = {
    **dict.fromkeys(("start", "stop", "restart", "status", "logs"), "server"),
    **dict.fromkeys(("pull", "list"), "models"),
    **dict.fromkeys(("doctor", "diagnostics", "uninstall"), "self"),
}


def find_command(group: str, word: str | None) -> Command | None:
    """Find a command by its two words; a group alone means its default."""
    return next(
        (
            command
            for command in COMMANDS
            if command.group == group and (command.is_default if word is None else command.word == word)
        ),
        None,
    )


def find_short(word: str) -> Command | None:
    """Find the command that a short form means."""
    return find_command(SHORT_FORMS[word], word) if word in SHORT_FORMS else None


def commands_of(group: str) -> tuple[Command, ...]:
    """Return a group's commands, in the order of help."""
    return tuple(command for command in COMMANDS if command.group == group)

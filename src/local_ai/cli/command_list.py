"""Every command: the one place that names them, their options, defaults and allowed values."""

from dataclasses import replace

from local_ai.cli.declaration import Argument, Command, Option
from local_ai.clients.files import FILES
from local_ai.clients.launch import CLIENTS, PROGRAMS, SHELLS
from local_ai.supervision.omni import PART_NAMES
from local_ai.supervision.program import ENGINE, GATEWAY, LOG_NAMES

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_JSON = Option("--json", "print the result as JSON, for programs", parameter="as_json")
_FILE = Option(
    "--config", "settings file", "FILE", shown_default="./config.toml, else the user's", is_file=True
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
        "--log-level", "what the logs hold", "LEVEL", shown_default="server.log_level, INFO", values=_LEVELS
    ),
)
_OUT = Option(
    "--out", "where to write it", "FILE", shown_default="local-ai-diagnostics-DATE.zip here", is_file=True
)
_WAIT = Option("--timeout", "longest wait for readiness, in seconds", "SECONDS", default="120")
_NAME = Argument("name", "the model's name or folder", is_model=True)

_SERVER = (
    Command(
        "start",
        "Start the server, wait until it answers, print its addresses.",
        "--port 9000",
        (*_START, Option("--foreground", "stay until the server ends; Ctrl-C stops it"), _WAIT),
    ),
    Command(
        "stop",
        "Stop the server; says whether it had to be killed.",
        "--timeout 60",
        (
            Option("--force", "end it with SIGKILL at once, also when it does not answer"),
            Option("--timeout", "longest wait after SIGTERM before SIGKILL, in seconds", "SECONDS", "10"),
        ),
    ),
    Command(
        "restart",
        "Stop and start again with fresh settings; wrong ones leave the server alone.",
        "--model org/name",
        (*_START, _WAIT),
    ),
    Command(
        "status",
        "Show the server's state; exit code 0 ready, 3 not running or not ready, 4 no answer.",
        "--json",
        (_JSON, Option("--deep", "ask the engine for one token: shows whether it is busy or stuck")),
        is_default=True,
    ),
    Command(
        "logs",
        "Show a program's log, and follow it across rotation.",
        "--program gateway --follow",
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
)
_MODELS = (
    Command(
        "list",
        "List the models on this machine: size, context, place, whether loaded.",
        "--json",
        (_JSON,),
        function="models:show_list",
        is_default=True,
    ),
    Command("info", "Show everything known about one model.", "org/name", (_JSON,), _NAME),
    Command(
        "use", "Make a model the default; the settings file keeps its comments.", "org/name", (_FILE,), _NAME
    ),
    Command(
        "pull",
        "Download a model from the Hugging Face hub, or continue an interrupted download.",
        "mlx-community/Llama-3.2-3B-Instruct-4bit",
        (
            Option("--revision", "branch, tag or commit", "REVISION", shown_default="main"),
            Option("--even-if-too-large", "download it although this machine's memory cannot hold it"),
            _JSON,
        ),
        Argument("name", "a model's name on the hub, or the address of its page there", is_model=True),
        function="pull:pull",
    ),
    Command(
        "remove",
        "Remove a model from this machine, after asking; never one that is in use.",
        "org/name --yes",
        (Option("--yes", "do not ask"),),
        _NAME,
        function="remove:remove",
    ),
    Command(
        "unload",
        "Give a loaded model's memory back now, or that of all; running answers are waited for.",
        argument=Argument("name", "a model's name or folder", is_model=True, shown_default="all of them"),
    ),
    Command(
        "pin",
        "Load a model and keep it: it is unloaded neither when idle nor for another one.",
        "org/name",
        argument=_NAME,
    ),
    Command("unpin", "Let a pinned model be unloaded again like any other.", "org/name", argument=_NAME),
)
_CACHE = (
    Command(
        "show",
        "Show the prompts remembered on disk: size, models, and bytes written.",
        "--json",
        (_JSON,),
        is_default=True,
    ),
    Command(
        "clear",
        "Remove the prompts remembered on disk, of one model or of all.",
        "--model org/name",
        (Option("--model", "the model whose prompts go", "NAME", shown_default="all models", is_model=True),),
    ),
)
_CLIENT = (
    Command(
        "env",
        "Print the environment variables that a client needs, for a shell to evaluate.",
        "--for claude-code",
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
        function="client:show_environment",
        is_default=True,
    ),
    Command(
        "launch",
        "Run a client on this server; words after -- are passed to the client.",
        "codex -- exec 'say hello'",
        (
            Option(
                "--model",
                "the model it uses",
                "NAME",
                shown_default="the one that its own words name, else the default",
                is_model=True,
            ),
        ),
        Argument("client", "the client to run", tuple(PROGRAMS), other_names={name: name for name in FILES}),
        takes_rest=True,
    ),
    Command(
        "configure",
        "Name this server in a client's own file, after showing the change and asking.",
        "pi",
        (
            Option("--model", "the model it uses", "NAME", shown_default="the default one", is_model=True),
            Option("--undo", "take our part out of the file again"),
            Option("--yes", "do not ask"),
        ),
        Argument(
            "client", "the client to configure", tuple(FILES), other_names={name: name for name in PROGRAMS}
        ),
    ),
)
_SERVICE = (
    Command(
        "install",
        "Have the system start the server now and at each login; run it again to update the service.",
        "--boot",
        (Option("--boot", "start it with the machine, before anybody logs in"), _FILE),
    ),
    Command("uninstall", "Stop the service; the system no longer starts the server."),
    Command(
        "status",
        "Show whether the service is installed, up to date and running: exit code 0, or 3.",
        "--json",
        (_JSON,),
        is_default=True,
    ),
)
_CLUSTER = (
    Command(
        "check",
        "Check the machines of [cluster]: ssh, versions, model, ports, latency and bandwidth.",
        "--json",
        (_JSON,),
        is_default=True,
    ),
)
_OMNI = (
    Command(
        "parts",
        "List speech, transcription and images: installed or not, or impossible here.",
        "--json",
        (_JSON,),
        function="omni:show_parts",
        is_default=True,
    ),
    Command(
        "install",
        "Install speech, transcription or images into an environment of their own.",
        "transcription",
        (_JSON,),
        Argument("part", "what to install", PART_NAMES),
    ),
)
_CONFIG = (
    Command(
        "show",
        "Show every setting, its value and where the value came from.",
        "--json",
        (_JSON, _FILE),
        is_default=True,
    ),
    Command("check", "Check the settings without starting anything.", "--config config.toml", (_FILE,)),
    Command(
        "reload",
        "Have the running server take changed settings, without a restart where it can.",
        options=(_JSON,),
    ),
    Command(
        "init",
        "Write a commented settings file; never over an existing one.",
        options=(replace(_FILE, help="where to write it", shown_default="the user's settings folder"),),
    ),
)
_COMPLETION = (
    Command(
        "install",
        "Have your shell complete commands, options and models; says which file it writes.",
        "zsh",
        (Option("--undo", "take it out again"),),
        Argument("shell", "the shell", ("bash", "zsh", "fish"), shown_default="the one of $SHELL"),
    ),
)
_SELF = (
    Command(
        "doctor",
        "Check everything that the server needs: one line each, with reason and fix.",
        "--fix",
        (_JSON, Option("--fix", "do the safe fixes, and name each one first")),
        function="installation:doctor",
        is_default=True,
    ),
    Command(
        "diagnostics",
        "Write one archive for a bug report: no prompts, no keys.",
        "--out report.zip",
        (_OUT,),
        function="installation:diagnostics",
    ),
    Command(
        "uninstall",
        "Remove what local-ai wrote here, after asking; downloaded models stay.",
        "--yes",
        (Option("--yes", "do not ask"),),
        function="installation:uninstall",
    ),
)
_GROUPS = (
    ("server", "the server and its programs", _SERVER),
    ("models", "the models on this machine", _MODELS),
    ("cache", "remembered prompts on disk", _CACHE),
    ("client", "clients of the server", _CLIENT),
    ("service", "the server as a service of the system", _SERVICE),
    ("cluster", "one model over several machines", _CLUSTER),
    ("omni", "speech, transcription and images", _OMNI),
    ("config", "the settings", _CONFIG),
    ("completion", "completion in the shell", _COMPLETION),
    ("self", "this installation of local-ai", _SELF),
)
GROUPS = {group: about for group, about, _ in _GROUPS}
# A command's function has its name and is in the module of its group, unless the command says otherwise.
COMMANDS = tuple(
    replace(each, group=group, function=f"local_ai.cli.commands.{each.function or f'{group}:{each.word}'}")
    for group, _, commands in _GROUPS
    for each in commands
)
# What each means: its group.
SHORT_FORMS = {
    **dict.fromkeys(("start", "stop", "restart", "status", "logs"), "server"),
    **dict.fromkeys(("pull", "list"), "models"),
    **dict.fromkeys(("doctor", "diagnostics", "uninstall"), "self"),
}


def find_command(group: str, word: str | None) -> Command | None:
    """Find a command by its two words; a group alone means its default."""
    own = commands_of(group)
    return next((each for each in own if (each.is_default if word is None else each.word == word)), None)


def find_short(word: str) -> Command | None:
    """Find the command that a short form means."""
    return find_command(SHORT_FORMS[word], word) if word in SHORT_FORMS else None


def commands_of(group: str) -> tuple[Command, ...]:
    """Return a group's commands, in the order of help."""
    return tuple(command for command in COMMANDS if command.group == group)

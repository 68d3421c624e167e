"""Words of the command line: every spelling of a command, and each mistake's whole text."""

import shlex

import pytest

from local_ai.cli.parser import parse
from local_ai.errors import ConfigError

_ALL = (
    "local-ai has: server, models, cache, client, service, cluster, omni, config, completion, self; "
    "in short start, stop, restart, status, logs, pull, list, doctor, diagnostics, uninstall"
)
_SERVER = "server has: start, stop, restart, status, logs"
_MODELS = "models has: list, info, use, pull, remove, unload, pin, unpin"
_START = "its options are --host, --port, --model, --config, --log-level, --foreground, --timeout"
_LOGS = "its options are --program, --lines, --follow, --json"


@pytest.mark.parametrize(
    ("line", "title", "values"),
    [
        ("server", "server status", {}),
        ("server status", "server status", {}),
        ("server.status --json", "server status", {"as_json": True}),
        ("server --json", "server status", {"as_json": True}),
        ("status", "server status", {}),
        ("start --port 1 --foreground", "server start", {"port": "1", "foreground": True}),
        ("server start --port=1", "server start", {"port": "1"}),
        ("stop --timeout -1", "server stop", {"timeout": "-1"}),
        ("restart --log-level debug", "server restart", {"log_level": "debug"}),
        ("logs --program gateway", "server logs", {"program": "gateway"}),
        ("list", "models list", {}),
        ("pull org/name --revision v1", "models pull", {"name": "org/name", "revision": "v1"}),
        ("models info --json tiny", "models info", {"name": "tiny", "as_json": True}),
        ("models", "models list", {}),
        ("client --for codex", "client env", {"client": "codex"}),
        (
            "client launch codex -- exec --json 'a b'",
            "client launch",
            {"client": "codex", "arguments": ["exec", "--json", "a b"]},
        ),
        ("server status --", "server status", {}),
        ("models remove --yes -- --help", "models remove", {"name": "--help", "yes": True}),
        ("models info -- -rf", "models info", {"name": "-rf"}),
        ("server. start", "server start", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_spelling_names_its_command(line: str, title: str, values: dict[str, object]):
    wanted = parse(shlex.split(line))

    assert wanted.command
    assert (wanted.command.title, wanted.values, wanted.is_help) == (title, values, False)


MISTAKES = [
    # Words of other programs: by meaning.
    ("serve", "there is no command serve", _ALL, "did you mean: local-ai server start"),
    ("run tiny", "there is no command run", _ALL, "did you mean: local-ai server start"),
    ("up", "there is no command up", _ALL, "did you mean: local-ai server start"),
    ("down", "there is no command down", _ALL, "did you mean: local-ai server stop"),
    ("kill", "there is no command kill", _ALL, "did you mean: local-ai server stop"),
    ("ps", "there is no command ps", _ALL, "did you mean: local-ai server status"),
    ("reload", "there is no command reload", _ALL, "did you mean: local-ai config reload"),
    ("tail", "there is no command tail", _ALL, "did you mean: local-ai server logs"),
    ("download org/name", "there is no command download", _ALL, "did you mean: local-ai models pull"),
    ("ls", "there is no command ls", _ALL, "did you mean: local-ai models list"),
    ("rm tiny", "there is no command rm", _ALL, "did you mean: local-ai models remove"),
    ("claude", "there is no command claude", _ALL, "did you mean: local-ai client launch claude-code"),
    ("models delete x", "there is no command models delete", _MODELS, "did you mean: local-ai models remove"),
    (
        "config validate",
        "there is no command config validate",
        "config has: show, check, reload, init",
        "did you mean: local-ai config check",
    ),
    (
        "config set server.port 1",
        "there is no command config set",
        "config has: show, check, reload, init",
        "did you mean: local-ai config init",
    ),
    # By spelling.
    ("satrt", "there is no command satrt", _ALL, "did you mean: local-ai server start"),
    ("Start", "there is no command Start", _ALL, "did you mean: local-ai server start"),
    ("statsu", "there is no command statsu", _ALL, "did you mean: local-ai server status"),
    ("log", "there is no command log", _ALL, "did you mean: local-ai server logs"),
    ("servre start", "there is no command servre", _ALL, "did you mean: local-ai server start"),
    ("model list", "there is no command model", _ALL, "did you mean: local-ai models list"),
    ("serer.start", "there is no command serer.start", _ALL, "did you mean: local-ai server start"),
    ("server strt", "there is no command server strt", _SERVER, "did you mean: local-ai server start"),
    ("server.strt", "there is no command server strt", _SERVER, "did you mean: local-ai server start"),
    # Of another group.
    ("server list", "there is no command server list", _SERVER, "did you mean: local-ai models list"),
    ("server remove x", "there is no command server remove", _SERVER, "did you mean: local-ai models remove"),
    # Nothing near.
    ("nonsense", "there is no command nonsense", _ALL, "local-ai --help"),
    ("server nonsense", "there is no command server nonsense", _SERVER, "local-ai server --help"),
    # Options: only those of that command.
    ("server start --prt 1", "server start has no option --prt", _START, "did you mean --port?"),
    ("start -p 1", "server start has no option -p", _START, "did you mean --port?"),
    (
        "start --log_level DEBUG",
        "server start has no option --log_level",
        _START,
        "did you mean --log-level?",
    ),
    ("start --verbose", "server start has no option --verbose", _START, "did you mean --log-level DEBUG?"),
    (
        "start -d",
        "server start has no option -d",
        _START,
        "leave -d out: it starts in the background and waits until it answers",
    ),
    ("logs -f", "server logs has no option -f", _LOGS, "did you mean --follow?"),
    ("logs -n 5", "server logs has no option -n", _LOGS, "did you mean --lines?"),
    (
        "server stop --json",
        "server stop has no option --json",
        "its options are --force, --timeout",
        "local-ai server stop --help",
    ),
    (
        "server stop -9",
        "server stop has no option -9",
        "its options are --force, --timeout",
        "did you mean --force?",
    ),
    (
        "server status --config x",
        "server status has no option --config",
        "its options are --json, --deep",
        "local-ai server status --help",
    ),
    ("models remove a -y", "models remove has no option -y", "its options are --yes", "did you mean --yes?"),
    (
        "models unload --now",
        "models unload has no option --now",
        "it has no options",
        "local-ai models unload --help",
    ),
    (
        "client launch codex --sandbox x",
        "client launch has no option --sandbox",
        "its options are --model; a client's own options come after --",
        "local-ai client launch codex -- --sandbox x",
    ),
    (
        "--port 1 server start",
        "local-ai has no option --port",
        "options come after a command: local-ai COMMAND [options]",
        "did you mean: local-ai server start --port 1",
    ),
    # Values.
    (
        "server start --port",
        "--port needs a value",
        "PORT is missing: port to listen on [default: server.port, 8080]",
        "--port PORT",
    ),
    (
        "server start --port=",
        "--port needs a value",
        "PORT is missing: port to listen on [default: server.port, 8080]",
        "--port PORT",
    ),
    (
        "client env --shell",
        "--shell needs a value",
        "SHELL is missing: whose syntax; one of bash, zsh, fish [default: bash]",
        "--shell bash",
    ),
    (
        "server status --json=yes",
        "--json takes no value",
        "it is a switch: print the result as JSON, for programs",
        "give --json alone",
    ),
    # Words too many, or too few.
    (
        "server status json",
        "server status does not take 'json'",
        "it takes only options",
        "did you mean: local-ai server status --json",
    ),
    (
        "server logs engine",
        "server logs does not take 'engine'",
        "it takes only options",
        "did you mean: local-ai server logs --program engine",
    ),
    ("pull a b", "models pull does not take 'b'", "it takes one NAME", "local-ai models pull --help"),
    (
        "stop -- now",
        "server stop does not take 'now'",
        "it takes only options",
        "local-ai server stop --help",
    ),
    (
        "models info",
        "models info needs NAME",
        "NAME is the model's name or folder",
        "local-ai models info org/name; local-ai models list shows the names",
    ),
    (
        "client launch",
        "client launch needs CLIENT",
        "CLIENT is the client to run; one of claude-code, codex, opencode, kilo, qwen-code, aider, "
        "open-interpreter",
        "local-ai client launch codex",
    ),
]


def _no_command(asked: str, why: str, fix: str) -> tuple[str, str, str, str]:
    return asked, f"there is no command {asked}", why, f"did you mean: local-ai {fix}"


_CACHE = "cache has: show, clear"
_SERVICE = "service has: install, uninstall, status"
_CLIENT = "client has: env, launch, configure"
_ONLY_OPTIONS = "it takes only options"
_FIRST = "options come after a command: local-ai COMMAND [options]"
MISTAKES += [
    # A line pasted whole, or with the program's name, or joined with another sign.
    ("local-ai server start", "there is no command local-ai", _ALL, "did you mean: local-ai server start"),
    ("uv run local-ai start", "there is no command uv", _ALL, "did you mean: local-ai start"),
    ("inv server.strat", "there is no command inv", _ALL, "did you mean: local-ai server start"),
    (
        "'server start --port 80'",
        "there is no command 'server start --port 80'",
        _ALL,
        "did you mean: local-ai server start --port 80",
    ),
    ("“start”", "there is no command “start”", _ALL, "did you mean: local-ai server start"),
    ("server:start", "there is no command server:start", _ALL, "did you mean: local-ai server start"),
    ("server-start", "there is no command server-start", _ALL, "did you mean: local-ai server start"),
    ("serverstart", "there is no command serverstart", _ALL, "did you mean: local-ai server start"),
    # Two words the other way round.
    ("show config", "there is no command show", _ALL, "did you mean: local-ai config show"),
    ("clear cache", "there is no command clear", _ALL, "did you mean: local-ai cache clear"),
    (
        "start server",
        "server start does not take 'server'",
        _ONLY_OPTIONS,
        "did you mean: local-ai server start",
    ),
    # Values of a command's word.
    ("pi", "there is no command pi", _ALL, "did you mean: local-ai client configure pi"),
    ("launch codex", "there is no command launch", _ALL, "did you mean: local-ai client launch"),
    ("configure pi", "there is no command configure", _ALL, "did you mean: local-ai client configure"),
    (
        "client codex",
        "there is no command client codex",
        _CLIENT,
        "did you mean: local-ai client launch codex",
    ),
    (
        "completion zsh",
        "there is no command completion zsh",
        "completion has: install",
        "did you mean: local-ai completion install zsh",
    ),
    # Meanings that hold in one group: never a command of another that removes more.
    _no_command("cache purge", _CACHE, "cache clear"),
    _no_command("cache delete", _CACHE, "cache clear"),
    _no_command("cache ls", _CACHE, "cache show"),
    _no_command("config get", "config has: show, check, reload, init", "config show"),
    _no_command("service start", _SERVICE, "server start"),
    _no_command("service enable", _SERVICE, "service install"),
    _no_command("models load", _MODELS, "models pin"),
    _no_command("models stop", _MODELS, "models unload"),
    # Verbs of other programs that have no command here: words, never the nearest spelling.
    (
        "search llama",
        "there is no command search",
        _ALL,
        "look for models at https://huggingface.co/mlx-community, then: local-ai models pull ORG/NAME",
    ),
    (
        "models update",
        "there is no command models update",
        _MODELS,
        "local-ai itself is updated by the program that installed it (uv tool upgrade local-ai, pipx upgrade "
        "local-ai, brew upgrade local-ai); for a newer version of a model: local-ai models pull ORG/NAME",
    ),
    (
        "models rename a b",
        "there is no command models rename",
        _MODELS,
        'another name of a model is an alias: under [aliases] in config.toml write NEW = "NAME", then: '
        "local-ai config reload",
    ),
    (
        "models run tiny",
        "there is no command models run",
        _MODELS,
        "local-ai server start --model NAME",
    ),
    (
        "push tiny",
        "there is no command push",
        _ALL,
        "models are not uploaded from here: the command `hf upload` does it",
    ),
    _no_command("service login", _SERVICE, "service install"),
    # Nothing, as an empty variable gives.
    ("''", "there is no command ''", _ALL, "local-ai --help"),
    (
        "models use ' '",
        "models use needs NAME",
        "NAME is the model's name or folder",
        "local-ai models use org/name; local-ai models list shows the names",
    ),
    (
        "models remove ''",
        "models remove needs NAME",
        "NAME is the model's name or folder",
        "local-ai models remove org/name; local-ai models list shows the names",
    ),
    (
        "cache clear --model ' '",
        "--model needs a value",
        "NAME is missing: the model whose prompts go [default: all models]",
        "--model NAME",
    ),
    # Options: other dashes, joined values, several in one, turned off, not needed, before the command.
    ("start –port 80", "server start has no option –port", _START, "did you mean --port?"),
    ("start —p 80", "server start has no option —p", _START, "did you mean --port?"),
    ("start -p8080", "server start has no option -p8080", _START, "did you mean --port 8080?"),
    ("logs -fn 50", "server logs has no option -fn", _LOGS, "did you mean --follow --lines?"),
    (
        "client launch codex –m x",
        "client launch has no option –m",
        "its options are --model; a client's own options come after --",
        "local-ai client launch codex -- -m x",
    ),
    (
        "start --no-foreground",
        "server start has no option --no-foreground",
        _START,
        "leave --no-foreground out: so it is without --foreground",
    ),
    (
        "models unload --all",
        "models unload has no option --all",
        "it has no options",
        "leave --all out: without a name it unloads all",
    ),
    ("--port", "local-ai has no option --port", _FIRST, "did you mean: local-ai server start --port"),
    ("--versoin", "local-ai has no option --versoin", _FIRST, "did you mean: local-ai --version"),
    ("-help", "local-ai has no option -help", _FIRST, "did you mean: local-ai --help"),
    ("--nonsense", "local-ai has no option --nonsense", _FIRST, "local-ai --help shows the commands"),
    # Words that are an option's value.
    (
        "logs gatway",
        "server logs does not take 'gatway'",
        _ONLY_OPTIONS,
        "did you mean: local-ai server logs --program gateway",
    ),
    (
        "client env claude",
        "client env does not take 'claude'",
        _ONLY_OPTIONS,
        "did you mean: local-ai client env --for claude-code",
    ),
    (
        "start port 80",
        "server start does not take 'port'",
        _ONLY_OPTIONS,
        "did you mean: local-ai server start --port 80",
    ),
    (
        "start PORT=80",
        "server start does not take 'PORT=80'",
        _ONLY_OPTIONS,
        "did you mean: local-ai server start --port 80",
    ),
    (
        "start 8080",
        "server start does not take '8080'",
        _ONLY_OPTIONS,
        "did you mean: local-ai server start --port 8080",
    ),
    (
        "cache clear org/name",
        "cache clear does not take 'org/name'",
        _ONLY_OPTIONS,
        "did you mean: local-ai cache clear --model org/name",
    ),
    (
        "config check my.toml",
        "config check does not take 'my.toml'",
        _ONLY_OPTIONS,
        "did you mean: local-ai config check --config my.toml",
    ),
    (
        "start help",
        "server start does not take 'help'",
        _ONLY_OPTIONS,
        "did you mean: local-ai server start --help",
    ),
    (
        "restart gateway",
        "server restart does not take 'gateway'",
        _ONLY_OPTIONS,
        "local-ai server restart --help",
    ),
    (
        "start -- --port 80",
        "server start does not take '--port'",
        _ONLY_OPTIONS,
        "did you mean: local-ai server start --port 80",
    ),
]


@pytest.mark.parametrize(("line", "what", "why", "fix"), MISTAKES, ids=[line for line, *_ in MISTAKES])
def test_mistake_is_told_in_what_why_and_fix(line: str, what: str, why: str, fix: str):
    with pytest.raises(ConfigError) as refused:
        parse(shlex.split(line))

    assert str(refused.value) == f"error: {what}\n  why: {why}\n  fix: {fix}"
    assert refused.value.exit_code == 2

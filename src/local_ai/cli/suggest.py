"""Suggestions for a word that is no command or no option: by meaning first, then by spelling."""

import difflib
import re
import shlex

from local_ai.cli.command_list import COMMANDS, GROUPS, SHORT_FORMS, commands_of, find_command, find_short
from local_ai.cli.declaration import Command, Option
from local_ai.supervision.program import LOG_NAMES

# Words of other programs (ollama, systemctl, docker, npm, llama-swap) → ours.
_MEANT = {
    "server start": "serve run up begin boot enable on open daemon",
    "server stop": "down kill quit end halt exit off shutdown disable terminate",
    "server restart": "reboot refresh again",
    "server status": "ps health state ping top alive check-status is-active",
    "server logs": "log journal tail output journalctl",
    "models pull": "download get fetch install add clone",
    "models list": "ls model all available",
    "models remove": "rm delete del erase prune",
    "models info": "inspect describe details show",
    "models use": "default select choose set switch load",
    "models unload": "free release evict",
    "service install": "autostart register launchd systemd systemctl launchctl",
    "omni install": "audio tts stt whisper",
    "config show": "settings configuration cfg conf options get-config",
    "config check": "validate verify test lint",
    "self doctor": "diagnose checkup check-health troubleshoot",
    "self diagnostics": "report bugreport bug-report support",
    "self uninstall": "purge wipe self-uninstall",
    "completion install": "completions autocomplete tab-completion",
    "config init": "create new example setup set edit",
    "client env": "export environment eval",
    "client launch": "connect chat",
}
# Meanings that hold behind the group's name only.
_MEANT_IN_GROUP = {
    "models pin": "keep load start hold warm preload",
    "models unload": "stop",
    "cache show": "list ls info size usage status",
    "cache clear": "clean delete del rm remove erase purge prune wipe reset empty flush drop",
    "service install": "login enable add create register",
    "service uninstall": "disable delete rm remove",
    "config show": "get list ls view print cat",
}
_OPTIONS_MEANT = {
    "--log-level": "--loglevel --level",
    "--log-level DEBUG": "-v --verbose --debug",
    "--log-level WARNING": "-q --quiet",
    "--lines": "-n --tail --number --count",
    "--follow": "-f -F --watch",
    "--foreground": "--fg -f --no-daemon --nodaemon --attach",
    "--force": "-f -9 --kill --hard --now",
    "--program": "-p --name --service --unit -u",
    "--port": "-p --listen",
    "--host": "-H --bind --address --ip --listen",
    "--model": "-m --default-model",
    "--config": "-c --file --settings --conf",
    "--timeout": "-t --wait --time --seconds",
    "--json": "-j --output --format -o",
    "--yes": "-y --assume-yes --force -f --no-confirm",
    "--revision": "--branch --tag --commit --rev -r",
    "--even-if-too-large": "--force -f",
    "--for": "--client",
    "--deep": "--full --probe",
}
_BACKGROUND = "it starts in the background and waits until it answers"
_NOT_NEEDED = {
    "server start": dict.fromkeys(
        ("-d", "-D", "--daemon", "--detach", "--background", "-b", "--wait"), _BACKGROUND
    ),
    "models unload": dict.fromkeys(("-a", "--all"), "without a name it unloads all"),
    "cache clear": dict.fromkeys(("-a", "--all"), "without --model it removes those of all"),
}
_OF_ALL = {"--help": "-help --help-all -? /? /h /help", "--version": "-v -version"}
# Words before a command line that was pasted whole.
_PROGRAM = re.compile(r"(?:[$%>]|sudo|uvx|pipx|uv|run|inv|invoke|local-ai|python[\d.]*|-m|local_ai)")
_JOINTS = re.compile(r"[\s.:/_-]+")
_QUOTES = "\"'`“”„‘’‚«»"
DASHES = "-‐‑‒–—―−﹘﹣－"  # an editor, a chat or a web page makes them of "--"
_NO_MODELS = {"now", "again", "engine", "gateway", *LOG_NAMES, *GROUPS}
_NUMBERS = {"PORT", "COUNT", "SECONDS"}


def nearest_command(first: str, left: list[str]) -> str:
    """Write the command that was probably meant, "" for none.

    Args:
        first: The word in a command's place, or a group.
        left: The words behind it; with a group, the first is the one that is no command.
    """
    if first in GROUPS:
        return _nearest_in(_plain(left[0]), first)
    if pasted := _pasted(first, left):
        return pasted
    word = _plain(first)
    second = _plain(left[0]) if left and not is_option(left[0]) else ""
    swapped = _group_like(second, least=0.75)  # `show config`
    if swapped and (found := _nearest_in(word, swapped, only_own=True)):
        return found
    if found := _with_value(word, COMMANDS) or _meant(word, COMMANDS):
        return found
    alone = [each.title for each in COMMANDS if each.word == word]
    if len(alone) == 1:
        return alone[0]
    group = _group_like(word, least=0.75)
    if group and second:  # `servre start`
        return _nearest_in(second, group) or group
    group_part, *parts = _JOINTS.split(word)
    if parts and (group := _group_like(group_part, least=0.6)):  # `server:start`, `serer.start`
        return _nearest_in(parts[0], group) or group
    first_come = COMMANDS[::-1]  # of two with one word, the first is meant
    known = {each.word: each.title for each in first_come}
    known |= {each.title.replace(" ", ""): each.title for each in first_come}
    known |= {name: name for name in GROUPS}
    known |= {each.word: each.title for each in first_come if each.word in SHORT_FORMS}
    return _nearest(word, known, least=0.7)


def nearest_option(flag: str, command: Command) -> str:
    """Say what was probably meant by an option that the command does not have, "" for nothing."""
    if reason := _NOT_NEEDED.get(command.title, {}).get(flag):
        return f"leave {flag} out: {reason}"
    name = flag.lstrip(DASHES)
    flag = with_plain_dashes(flag)
    own = [option.flag for option in command.options]
    if found := _option_meant(flag, own):
        return f"did you mean {found}?"
    spelt = "--" + name.replace("_", "-").lower()
    positive = command.option(spelt.replace("--no-", "--", 1))
    if positive and positive.is_switch and positive.flag != spelt:
        return f"leave {flag} out: so it is without {positive.flag}"
    near = [spelt] if spelt in own else difflib.get_close_matches(spelt, own, n=1, cutoff=0.7)
    if near:
        return f"did you mean {near[0]}?"
    if flag[1:2] != "-":  # `-p8080`, `-fn`
        option = command.option(_option_meant(flag[:2], own))
        if option and option.metavar in _NUMBERS and name[1:].isdecimal():
            return f"did you mean {option.flag} {name[1:]}?"
        several = [_option_meant(f"-{letter}", own) for letter in name]
        if all(several):
            return f"did you mean {' '.join(several)}?"
    return ""


def nearest_of_all(words: list[str]) -> str:
    """Write what was probably meant where an option stands before the command, "" for nothing."""
    flag = words[0].partition("=")[0]
    plain = "--" + flag.lstrip(DASHES).lower()
    for name, others in _OF_ALL.items():
        if flag in others.split() or difflib.get_close_matches(plain, [name], cutoff=0.8):
            return name
    at = next((index for index, word in enumerate(words) if word in GROUPS or find_short(word)), None)
    if at is not None:
        return shlex.join([*words[at:], *words[:at]])
    having = [each.title for each in COMMANDS if each.option(plain)]
    return f"{having[0]} {plain}" if having and len(having) < len(COMMANDS) / 3 else ""


def nearest_for_words(extra: list[str], command: Command) -> str:
    """Write the command line that was probably meant by words too many, "" for none."""
    word = extra[0]
    if word == "help":
        return f"{command.title} --help"
    if is_option(word):  # behind `--`
        return f"{command.title} {shlex.join(extra)}"
    if _group_like(word.lower(), least=0.8) == command.group:  # `start server`
        return command.title
    name, joint, value = word.replace(":", "=", 1).partition("=")
    for option in command.options:
        if f"--{name.lower()}" == option.flag:  # `port 80`, `port=80`
            values = [] if option.is_switch else [value] if joint else extra[1:2]
            return f"{command.title} {shlex.join([option.flag, *values])}"
        if near := _value_like(word, (*option.values, *option.other_names)):
            return f"{command.title} {option.flag} {near}"
    found = next((each for each in command.options if _takes(each, word)), None)
    return f"{command.title} {found.flag} {shlex.quote(word)}" if found else ""


def is_option(word: str) -> bool:
    """Tell an option, also one whose dashes were made long ones."""
    return word[:1] in tuple(DASHES)


def with_plain_dashes(word: str) -> str:
    """Write an option whose dashes were made long ones as it is typed."""
    if word[:1] == "-" or not is_option(word):
        return word
    name = word.lstrip(DASHES)
    return f"--{name}" if len(name) > 1 else f"-{name}"


def _takes(option: Option, word: str) -> bool:
    if word.isdecimal():
        return option.metavar in _NUMBERS
    is_file = word.endswith((".toml", ".zip"))
    return option.is_file if is_file else option.is_model and word not in _NO_MODELS


def _pasted(first: str, left: list[str]) -> str:
    """Understand a whole command line given as one word, or with the program's name before it."""
    words = [*first.split(), *left]
    own = list(words)
    while own and _PROGRAM.fullmatch(own[0]) and (own[0] != "run" or len(own) < len(words)):
        own.pop(0)
    if not own or own == [first, *left]:
        return ""
    group, word = own[0], own[1] if own[1:] and not is_option(own[1]) else None
    if find_short(group) or (group in GROUPS and find_command(group, word)):
        return shlex.join(own)
    if "." in group and find_command(*group.split(".", 1)):
        return shlex.join([*group.split("."), *own[1:]])
    return nearest_command(group, own[1:])


def _plain(word: str) -> str:
    return word.strip().strip(_QUOTES).lower()


def _group_like(word: str, *, least: float) -> str:
    return _nearest(word, {name: name for name in GROUPS}, least=least)


def _nearest_in(word: str, group: str, *, only_own: bool = False) -> str:
    """Find a command by a word behind a group's name: the group's own first."""
    own = commands_of(group)
    names = {each.word: each.title for each in own}
    found = names.get(word) or _with_value(word, own) or _meant(word, own, _MEANT_IN_GROUP)
    if found := found or _meant(word, own):
        return found
    elsewhere = [each.title for each in COMMANDS if each.word == word]
    if len(elsewhere) == 1 and not only_own:
        return elsewhere[0]
    if (found := _nearest(word, names, least=0.6)) or only_own:
        return found
    return _meant(word, COMMANDS) or _nearest(word, {each.word: each.title for each in COMMANDS}, least=0.9)


def _with_value(word: str, commands: tuple[Command, ...]) -> str:
    """Find a command by one of the values that it takes: `codex`, `zsh`."""
    for command in commands:
        if command.argument and (value := _value_like(word, command.argument.values, least=1)):
            return f"{command.title} {value}"
    return ""


def _value_like(word: str, values: tuple[str, ...], *, least: float = 0.75) -> str:
    longer = [value for value in values if word and value.startswith(f"{word}-")]  # claude → claude-code
    return next(iter(difflib.get_close_matches(word, values, n=1, cutoff=least) or longer), "")


def _meant(word: str, commands: tuple[Command, ...], meanings: dict[str, str] = _MEANT) -> str:
    return next((each.title for each in commands if word in meanings.get(each.title, "").split()), "")


def _option_meant(flag: str, own: list[str]) -> str:
    return next(
        (
            name
            for name, words in _OPTIONS_MEANT.items()
            if name.partition(" ")[0] in own and flag in words.split()
        ),
        "",
    )


def _nearest(word: str, known: dict[str, str], *, least: float) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=least)
    return known[near[0]] if near else ""

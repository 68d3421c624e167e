"""Suggestions for a word that is no command or no option: by meaning first, then by spelling."""

from __future__ import annotations

import difflib

from local_ai.cli.command_list import COMMANDS, GROUPS, SHORT_FORMS, commands_of
from local_ai.cli.declaration import Command

# Words of other programs (ollama, systemctl, docker, npm, llama-swap) → ours.
_MEANT = {
    "server start": "serve run up launch begin boot enable on open daemon",
    "server stop": "down kill quit end halt exit off shutdown disable terminate",
    "server restart": "reload reboot refresh again",
    "server status": "ps health state ping top alive check-status is-active",
    "server logs": "log journal tail output journalctl",
    "models pull": "download get fetch install add clone",
    "models list": "ls model all available",
    "models remove": "rm delete del erase prune",
    "models info": "inspect describe details show",
    "models use": "default select choose set switch load",
    "models unload": "free release evict",
    "service install": "autostart login register launchd systemd systemctl launchctl",
    "omni install": "speech transcription images audio tts stt whisper",
    "config show": "settings configuration cfg conf options get-config",
    "config check": "validate verify test lint",
    "self doctor": "diagnose checkup check-health troubleshoot",
    "self diagnostics": "report bugreport bug-report support",
    "self uninstall": "purge wipe self-uninstall",
    "completion install": "completions autocomplete tab-completion bash zsh fish",
    "config init": "create new example setup set edit",
    "client env": "export environment eval",
    "client launch": "claude codex claude-code connect chat",
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
_NOT_NEEDED = {"server start": {"-d", "--daemon", "--detach", "--background", "-b", "--wait"}}


def nearest_command(first: str, left: list[str]) -> str:
    """Name the command that was probably meant, "" for none.

    Args:
        first: The word in a command's place, or a group.
        left: The words behind it; with a group, the first is the one that is no command.
    """
    if first in GROUPS:
        return _nearest_in(left[0].lower(), commands_of(first)) or _nearest_in(
            left[0].lower(), COMMANDS, least=0.9
        )
    second = left[0].lower() if left and not left[0].startswith("-") else ""
    group = _nearest(first.lower(), {name: name for name in GROUPS}, least=0.75)
    if group and second:  # `servre start`
        return _nearest_in(second, commands_of(group)) or group
    dotted, _, word = first.lower().partition(".")
    if word and (group := _nearest(dotted, {name: name for name in GROUPS}, least=0.6)):
        return _nearest_in(word, commands_of(group)) or group
    if found := _meant(first.lower(), COMMANDS):
        return found
    first_come = COMMANDS[::-1]  # of two with one word, the first is meant
    short = {each.word: each.title for each in first_come if each.word in SHORT_FORMS}
    groups = {name: name for name in GROUPS}
    words = {each.word: each.title for each in first_come}
    return _nearest(first.lower(), {**words, **groups, **short}, least=0.7)


def nearest_option(flag: str, command: Command) -> str:
    """Say what was probably meant by an option that the command does not have, "" for nothing."""
    if flag in _NOT_NEEDED.get(command.title, ()):
        return f"leave {flag} out: it starts in the background and waits until it answers"
    own = [option.flag for option in command.options]
    for name, words in _OPTIONS_MEANT.items():
        if name.partition(" ")[0] in own and flag in words.split():
            return f"did you mean {name}?"
    spelt = "--" + flag.lstrip("-").replace("_", "-").lower()
    near = [spelt] if spelt in own else difflib.get_close_matches(spelt, own, n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""


def _nearest_in(word: str, commands: tuple[Command, ...], *, least: float = 0.6) -> str:
    names = {each.word: each.title for each in commands}
    if word in names:
        return names[word]
    return _meant(word, commands) or _nearest(word, names, least=least)


def _meant(word: str, commands: tuple[Command, ...]) -> str:
    return next((each.title for each in commands if word in _MEANT.get(each.title, "").split()), "")


def _nearest(word: str, known: dict[str, str], *, least: float) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=least)
    return known[near[0]] if near else ""

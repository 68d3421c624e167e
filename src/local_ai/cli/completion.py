"""Completion for shells: each script asks `local-ai --complete WORDS`, answered from the declarations."""

from collections.abc import Sequence

from local_ai.cli.command_list import COMMANDS, GROUPS, SHORT_FORMS, commands_of, find_command, find_short
from local_ai.errors import ConfigError, LocalAIError

SCRIPT_OPTION = "--print-completion-script"

# Where nothing is offered, bash and zsh complete files. bash's `compgen -W` would run a `$(…)` in a name.
_SCRIPTS = {
    "bash": """\
_local_ai() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        if [[ -n "$word" ]]; then
            printf -v word %q "$word"
            COMPREPLY+=("$word")
        fi
    done < <(local-ai --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _local_ai local-ai
""",
    "zsh": """\
#compdef local-ai
_local_ai() {
    local -a found
    found=("${(@f)$(local-ai --complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -a found; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _local_ai local-ai
[[ ${funcstack[1]} != _local-ai ]] || _local_ai  # a file in fpath, run for the first time
""",
    "fish": """\
function __local_ai
    local-ai --complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null
end
complete -c local-ai -f -a '(__local_ai)'
complete -c local-ai -n '__fish_prev_arg_in --config --model' -F
""",
}
SHELLS = tuple(_SCRIPTS)


def completion_script(shell: str) -> str:
    """Return the script for a shell.

    Raises:
        ConfigError: There is none for that shell.
    """
    if shell in _SCRIPTS:
        return _SCRIPTS[shell]
    raise ConfigError(
        "there is no completion for that shell",
        why=f"{SCRIPT_OPTION} is {shell!r}, must be one of {', '.join(_SCRIPTS)}",
        command=f"local-ai {SCRIPT_OPTION} bash",
    )


def candidates(words: Sequence[str]) -> list[str]:
    """Return what can stand in place of the last word.

    Args:
        words: Those behind `local-ai`; the last is the one being typed, "" for a new one.
    """
    *before, current = words or [""]
    if before[:1] == ["help"]:
        before = before[1:]
    found = _offered(before, current)
    return [each for each in found if each.startswith(current)]


def _offered(before: list[str], current: str) -> list[str]:
    if not before:
        if "." in current:
            return [f"{each.group}.{each.word}" for each in COMMANDS]
        options = ["--help", "--version", SCRIPT_OPTION] if current.startswith("-") else []
        return [*GROUPS, *SHORT_FORMS, "help", *options]
    first, *left = before
    if first == SCRIPT_OPTION:
        return list(_SCRIPTS)
    group, _, word = first.partition(".")
    if word:
        command = find_command(group, word)
    elif first in GROUPS:
        word = left.pop(0) if left and not left[0].startswith("-") else ""
        if not word and not left and not current.startswith("-"):
            return [each.word for each in commands_of(first)]
        command = find_command(first, word or None)
    else:
        command = find_short(first)
    if command is None or "--" in left:
        return []
    option = command.option(left[-1]) if left else None
    if option is not None and option.is_model:
        return _model_names()
    if option is not None and not option.is_switch:
        return [*option.values, *(name for name, own in option.other_names.items() if name != own)]
    if current.startswith("-"):
        return [*(each.flag for each in command.options if each.flag not in left), "--help"]
    if command.argument is None or any(not each.startswith("-") for each in left):
        return []
    # The names on a hub are not known here.
    is_here = command.argument.is_model and command.word != "pull"
    return _model_names() if is_here else list(command.argument.values)


def _model_names() -> list[str]:
    """List the models of this machine, by id and alias; none where the settings cannot be read."""
    from local_ai.cli.commands.models import look  # for these words alone: it reads the settings

    try:
        return [model.id for model in look().library.listed()]
    except LocalAIError:
        return []

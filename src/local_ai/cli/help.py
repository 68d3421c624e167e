"""Help: on all commands, on a group, on one command."""

from local_ai.cli.command_list import COMMANDS, GROUPS, SHORT_FORMS, commands_of, find_command
from local_ai.cli.parser import Wanted, parser_of

_OPTIONS_OF_ALL = "Help on each: local-ai COMMAND --help. Settings: local-ai config show."


def help_text(wanted: Wanted) -> str:
    """Return the help that a command line asks for."""
    if wanted.command is not None:
        return parser_of(wanted.command).format_help()
    return _help_on_group(wanted.group) if wanted.group else _help_on_all()


def _help_on_all() -> str:
    from importlib.metadata import version

    lines = [
        f"local-ai {version('local-ai')}: one local endpoint for large language models, managed like a "
        "service.",
        "Usage: local-ai COMMAND [options], for example: local-ai server start",
        "",
        *(f"  {each.group} {each.word:<{18 - len(each.group)}}{each.summary}" for each in COMMANDS),
        f"In short: local-ai {'|'.join(SHORT_FORMS)}.",
        _OPTIONS_OF_ALL,
    ]
    return "\n".join(lines) + "\n"


def _help_on_group(group: str) -> str:
    commands = commands_of(group)
    default = find_command(group, None)
    alone = f" Without a command it is: local-ai {default.title}" if default else ""
    lines = [
        f"local-ai {group}: {GROUPS[group]}.{alone}",
        "",
        f"Usage: local-ai {group} COMMAND [options]",
        "",
        *(f"  {each.word:<10}{each.summary}" for each in commands),
        "",
        "Examples:",
        *(f"  local-ai {each.title} {each.example}".rstrip() for each in commands),
        "",
        f"Options of each: local-ai {group} COMMAND --help",
    ]
    return "\n".join(lines) + "\n"

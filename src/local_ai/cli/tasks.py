"""The commands as invoke's tasks, `inv server.start` in a checkout: made from the same declarations."""

from __future__ import annotations

import shlex
from inspect import Parameter, Signature
from keyword import iskeyword
from typing import Any

from invoke import Collection, Context, Exit, Task

from local_ai.cli.command_list import COMMANDS, GROUPS
from local_ai.cli.declaration import Command
from local_ai.cli.run import guarded


def namespace() -> Collection:
    """Return the collections of commands, each with its default."""
    groups = {name: Collection(name) for name in GROUPS}
    for command in COMMANDS:
        groups[command.group].add_task(_task(command), command.word, default=command.is_default)
    return Collection(*groups.values())


def _task(command: Command) -> Task[Any]:
    """Make a task whose expected failures end in words and an exit code."""
    names = {_python_name(option.flag): option.name for option in command.options}
    parameters = [Parameter("context", Parameter.POSITIONAL_OR_KEYWORD)]
    help_texts = {option.flag.removeprefix("--"): option.description for option in command.options}
    if command.argument is not None:
        parameters.append(Parameter(command.argument.name, Parameter.POSITIONAL_OR_KEYWORD))
        help_texts[command.argument.name] = command.argument.description
        names[command.argument.name] = command.argument.name
    parameters += [
        Parameter(
            _python_name(option.flag),
            Parameter.POSITIONAL_OR_KEYWORD,
            default=False if option.is_switch else option.default,
        )
        for option in command.options
    ]

    def run(context: Context, *args: Any, **kwargs: Any) -> None:
        given = dict(zip((each.name for each in parameters[1:]), args, strict=False)) | kwargs
        values = {names[name]: value for name, value in given.items() if value is not None}
        if command.takes_rest:
            values["arguments"] = shlex.split(context.remainder)
        if code := guarded(command.run, values):
            raise Exit(code=code)

    run.__name__ = command.word
    run.__doc__ = (
        f"{command.summary}\n\nexample: inv {command.group}.{command.word} {command.example}".rstrip()
    )
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return Task(run, auto_shortflags=False, help=help_texts)


def _python_name(flag: str) -> str:
    name = flag.removeprefix("--").replace("-", "_")
    return f"{name}_" if iskeyword(name) else name

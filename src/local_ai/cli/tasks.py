"""The commands as invoke's tasks, `inv server.start` in a checkout: made from the same declarations."""

import shlex
from collections.abc import Sequence
from inspect import Parameter, Signature
from keyword import iskeyword
from pathlib import PurePath
from typing import Any

from invoke import Collection, Context, Exit, ParseError, Program, Task
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser

from local_ai.cli.command_list import COMMANDS, GROUPS
from local_ai.cli.declaration import Command
from local_ai.cli.run import guarded, run_words

_NAMES = {"inv", "invoke"}


def namespace() -> Collection:
    """Return the collections of commands, each with its default."""
    groups = {name: Collection(name) for name in GROUPS}
    for command in COMMANDS:
        groups[command.group].add_task(_task(command), command.word, default=command.is_default)
    return Collection(*groups.values())


def read_as_local_ai(tasks: Collection, program: str, words: Sequence[str]) -> None:
    """Run a command line of `inv` as `local-ai` would, where invoke would not understand it.

    To be called where invoke loads its tasks, which is before it parses. A line that names one of the tasks
    that only a checkout has stays invoke's.

    Args:
        tasks: All tasks there are.
        program: The path that was called, `sys.argv[0]`.

    Raises:
        Exit: It was run, or refused in words.
    """
    is_own = PurePath(program).name in _NAMES and not {*tasks.tasks, "--complete"} & {*words}
    has_blank = not all(word.strip() for word in words)  # for invoke, an empty name is a name
    if is_own and (has_blank or not _understands(tasks.to_contexts(), list(words))):
        raise Exit(code=guarded(run_words, words))


def _understands(contexts: list[ParserContext], words: list[str]) -> bool:
    """Parse as invoke does: first its own options, then what is left."""
    own = Program()
    core = ParserContext(args=own.core_args() + own.task_args())
    try:
        first = Parser(initial=core, ignore_unknown=True).parse_argv(words)
        second = Parser(contexts, core).parse_argv(first.unparsed)
    except ParseError:
        return False
    if second[0].args["config"].value:  # invoke's own stands before a task
        return False
    names = {name for context in contexts for name in (context.name, *context.aliases)}
    values = [found.args[name].value for found in (first[0], second[0]) for name in ("help", "list")]
    return all(not isinstance(value, str) or value in {*names, *GROUPS} for value in values)


def _task(command: Command) -> Task[Any]:
    """Make a task whose expected failures end in words and an exit code."""
    names = {_python_name(option.flag): option.name for option in command.options}
    help_texts = {option.flag.removeprefix("--"): option.description for option in command.options}
    defaults: dict[str, Any] = {"context": Parameter.empty}
    if (argument := command.argument) is not None:
        names[argument.name], help_texts[argument.name] = argument.name, argument.description
        defaults[argument.name] = None if argument.shown_default else Parameter.empty
    for option in command.options:
        defaults[_python_name(option.flag)] = False if option.is_switch else option.default
    kind = Parameter.POSITIONAL_OR_KEYWORD
    parameters = [Parameter(name, kind, default=default) for name, default in defaults.items()]

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

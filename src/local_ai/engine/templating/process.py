"""Processes that run chat templates: what one costs, in memory or in time, it costs itself only.

A template is a program: `'a' * 10**10` asks for 10 GB, `10**10**10` keeps the interpreter's lock for hours.
"""

import importlib
import pickle
from typing import Any

from local_ai.engine.isolation.pool import ProcessPool, ProcessStopped
from local_ai.engine.templating.protocol import PROMPT, as_text

_LEAST_MEMORY = 256_000_000  # of one prompt
_MEMORY_PER_BYTE = 16
_PATIENCE_S = 0.2  # a prompt takes less than a millisecond, a long one ten


class TemplateRefused(Exception):
    """The template raised this: it does not take these messages, or is not valid."""


class TemplateStopped(Exception):
    """The template took more than it may, or its process ended."""


class TemplateProcesses:
    """Runs chat templates in processes that are started when needed; one is kept for the next prompt."""

    def __init__(self) -> None:
        self._pool = ProcessPool("local_ai.engine.templating", patience_s=_PATIENCE_S)

    def get_ready(self) -> None:
        """Have transformers run its templates here, and start the first process.

        It takes seconds to import: call it where that is done already.
        """
        library = importlib.import_module("transformers.utils.chat_template_utils")
        library._compile_jinja_template = lambda template: _Compiled(self, template)  # type: ignore[attr-defined]
        self._pool.get_ready()

    def render(self, template: str, values: dict[str, Any]) -> str:
        """Write a prompt. Not for the event loop.

        Args:
            values: What the template may read, of JSON's types.

        Raises:
            TemplateRefused: The template raised something.
            TemplateStopped: It was stopped.
        """
        request = pickle.dumps((template, values))
        try:
            most_memory = _LEAST_MEMORY + _MEMORY_PER_BYTE * len(request)
            answer = self._pool.ask(request, most_memory=most_memory)
        except ProcessStopped as exc:
            raise TemplateStopped(str(exc)) from exc
        if answer[:1] == PROMPT:
            return as_text(answer[1:])
        raise TemplateRefused(as_text(answer[1:]))

    def end(self) -> None:
        """End the processes."""
        self._pool.end()


class _Compiled:
    """A template as transformers sees it."""

    def __init__(self, processes: TemplateProcesses, template: str) -> None:
        self._processes = processes
        self._template = template

    def render(self, **values: Any) -> str:
        """Write a prompt."""
        return self._processes.render(self._template, values)

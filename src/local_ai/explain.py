"""Why a program ended, in a user's words, from its exit and the last lines of its log. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

# What the log says → what it means; the first that matches the latest line wins.
# Source of Metal's words: MTLCommandBufferError as MLX prints it ("[METAL] Command buffer execution failed").
_SIGNS = (
    (r"Insufficient Memory|ErrorOutOfMemory", "the GPU ran out of memory: choose a smaller model"),
    (r"MemoryError|[Uu]nable to allocate|\[malloc\]", "it ran out of memory: choose a smaller model"),
    (r"ModuleNotFoundError: No module named '([^']+)'", "the package {0} is missing: uv sync brings it back"),
    (r"ImportError: (.+)", "something could not be imported: {0}"),
    (r"No such file or directory: '([^']+)'", "a file is missing: {0}"),
    (r"No space left on device", "the disk is full"),
)
_EXITS = {
    "terminated by SIGKILL": "the system killed it, most likely because memory ran out",
    "terminated by SIGSEGV": "it crashed in native code",
    "terminated by SIGBUS": "it crashed in native code, or a model file changed under it",
    "terminated by SIGABRT": "it crashed in native code",
    "terminated by SIGILL": "it uses instructions that this processor does not have",
}


def explain_exit(reason: str, log_lines: Sequence[str]) -> str:
    """Translate an exit.

    Args:
        reason: supervisord's words: "exit status 1", "terminated by SIGKILL".
        log_lines: The last lines of the program's log, oldest first.

    Returns:
        "the disk is full (exit status 1)"; just the reason where nothing more is known.
    """
    for line in reversed(log_lines):
        for pattern, meaning in _SIGNS:
            if match := re.search(pattern, line):
                return f"{meaning.format(*match.groups())} ({reason})"
    return f"{_EXITS[reason]} ({reason})" if reason in _EXITS else reason

"""Every failure a person is expected to see.

    LocalAIError          exit 1   something stopped, and we know why
    ├── ConfigError       exit 2   settings, files or command line are wrong
    └── ServerError       exit 1   a program did not do what was asked (3, 4 and 5 where a script must tell)
        └── HealthCheckError       it runs, but it does not answer as it should

Each carries what stopped, why, one step that fixes it, the command that ends this step, and where to look.
Commands are written `local-ai server start`, and shown as people call local-ai (see entry.py).
"""

from collections.abc import Sequence

from local_ai.entry import as_called
from local_ai.printable import printable

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class LocalAIError(Exception):
    """An expected failure, in words for the person who meets it."""

    default_exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        why: str | Sequence[str],
        fix: str = "",
        command: str = "",
        see: str | None = None,
        exit_code: int | None = None,
    ) -> None:
        """Describe it; `fix`, `command` or both are given.

        Escapes stand for line breaks in the names and paths that these texts quote.

        Args:
            why: One line, or several.
            command: Ends the fix, and can be run as it is.
        """
        self.what = printable(what)
        super().__init__(self.what)
        self.why = "\n".join(map(printable, [why] if isinstance(why, str) else why))
        self.fix = printable(fix)
        self.command = printable(command)
        self.see = None if see is None else printable(see)
        self.exit_code = self.default_exit_code if exit_code is None else exit_code

    def __str__(self) -> str:
        """Render the fields, one labelled line each; further lines of a field are indented."""
        text = "\n".join(
            (
                f"error: {self.what}",
                *(
                    f"  {label}: {text}".replace("\n", "\n       ")
                    for label, text in (("why", self.why), ("fix", self.whole_fix), ("see", self.see))
                    if text
                ),
            )
        )
        return as_called(text)

    @property
    def sentence(self) -> str:
        """The same in one line, for API errors: "what: why. fix"."""
        why = " ".join(self.why.split()).rstrip(".")
        return as_called(f"{self.what}: {why}. To fix it: {' '.join(self.whole_fix.split())}")

    @property
    def whole_fix(self) -> str:
        """The fix with its command."""
        return whole_fix(self.fix, self.command)


class ConfigError(LocalAIError):
    """Settings, files or the command line are wrong; nothing was started."""

    default_exit_code = 2


class ServerError(LocalAIError):
    """A program could not be started, stopped or reached."""


class HealthCheckError(ServerError):
    """A program runs but does not answer as it should."""


def whole_fix(fix: str, command: str) -> str:
    """Write a fix and the command that ends it: "read the log, then run: local-ai server restart"."""
    return ": ".join(filter(None, (fix, command)))

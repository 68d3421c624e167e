"""A check's outcome, and what every group of checks is given."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from local_ai.errors import LocalAIError, whole_fix
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings
from local_ai.status.report import Report


class Outcome(Enum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True)
class Repair:
    """A repair that loses nothing."""

    sentence: str  # says what it does, before it is done
    run: Callable[[], object]


@dataclass(frozen=True)
class Check:
    """One check: one line, and for what is wrong the reason and one step that fixes it."""

    name: str
    outcome: Outcome
    finding: str
    why: str = ""
    fix: str = ""
    command: str = ""  # ends the fix, and can be run as it is
    exit_code: int = 0  # of the command, where this alone is wrong
    repair: Repair | None = None

    @property
    def whole_fix(self) -> str:
        """The fix with its command."""
        return whole_fix(self.fix, self.command)


@dataclass(frozen=True)
class Place:
    """The installation that is checked: its files, its settings and its server's state."""

    paths: Paths  # with the folders of `models.paths`
    settings: LocalAISettings  # the defaults, where the settings are wrong
    report: Report


def ok(name: str, finding: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name, Outcome.OK, finding)


def warning(
    name: str, finding: str, *, why: str, fix: str = "", command: str = "", repair: Repair | None = None
) -> Check:
    """Return a check that found something the server runs in spite of."""
    return Check(name, Outcome.WARNING, finding, why, fix, command, repair=repair)


def wrong(name: str, error: LocalAIError) -> Check:
    """Return a check that found what a start, or the server, would fail with."""
    return Check(name, Outcome.WRONG, error.what, error.why, error.fix, error.command, error.exit_code)

"""The verdict: what state the server and its programs are in, why, and what to do about it."""

from dataclasses import dataclass
from enum import Enum

from local_ai.entry import as_called
from local_ai.errors import whole_fix


class Readiness(Enum):
    """A probe's verdict on a program; a busy one is alive and well."""

    READY = "ready"
    BUSY = "busy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    STOPPED = "stopped"


class Health(Enum):
    """The verdict in one word."""

    HEALTHY = "healthy"
    BUSY = "busy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    STOPPED = "stopped"


STOPPING = "Stopping"  # a verdict's first word
# Of a verdict, as they are shown.
_TEXTS = ("word", "rest", "sentence", "why", "command", "see")


@dataclass(frozen=True)
class Verdict:
    """The server's state, its reason, and what to do about it."""

    health: Health
    word: str  # "Ready", "Failed", …: its first word
    text: str
    aside: str = ""  # more of the text; may quote a log
    why: str = ""
    fix: str = ""
    command: str = ""  # ends the fix, and can be run as it is
    see: str = ""

    @property
    def sentence(self) -> str:
        """The word, and what there is to say: "Starting: the engine is waiting to be restarted (killed)"."""
        return f"{self.word}: {self.rest}"

    @property
    def rest(self) -> str:
        """The part after the word."""
        return f"{self.text} ({self.aside})" if self.aside else self.text

    @property
    def whole_fix(self) -> str:
        """The fix with its command."""
        return whole_fix(self.fix, self.command)

    def to_json(self) -> dict[str, str]:
        """Return it as JSON-ready values; commands are written as people here call local-ai."""
        texts = {name: getattr(self, name) for name in _TEXTS}
        texts |= {"fix": self.whole_fix, "fix_words": self.fix}
        return {"health": self.health.value} | {name: as_called(text) for name, text in texts.items()}

"""Pictures, files and hosted tools' blocks in a conversation, which no model here can read.

A short text replaces each, so that a conversation that contains one can continue. Only the user's own newest
message may not hold any: there it is what the answer should be about.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ConfigDict

from local_ai.engine.api.body import Body

BLIND = "the models here read text only"
_LEFT_OUT = " left out: only text can be read here]"


class Unreadable(Body):
    """A part of a conversation that no model here can read, whatever it holds."""

    model_config = ConfigDict(extra="allow")

    type: str

    @property
    def text(self) -> str:
        """The text in its place: always the same, so that the prompt stays a remembered one."""
        return placeholder(self.type)


def placeholder(kind: str) -> str:
    """Write the text that replaces a part of this type."""
    return f"[{kind}{_LEFT_OUT}"


def is_placeholder(text: str) -> bool:
    """True if a text only replaces something that cannot be read."""
    return text.startswith("[") and text.endswith(_LEFT_OUT)


def newest_of_user(roles: Sequence[str]) -> int | None:
    """Find the user's own newest message, which has no answer yet.

    Many clients cannot put a picture into a tool's result and send it as the user's right after it: such a
    message is the tool's.

    Args:
        roles: One per message, in order; "tool" for results.

    Returns:
        Its index; None where the conversation continues from an answer or from a tool's result.
    """
    spoken = [(index, role) for index, role in enumerate(roles) if role not in ("system", "developer")]
    if not spoken or spoken[-1][1] != "user" or (len(spoken) > 1 and spoken[-2][1] == "tool"):
        return None
    return spoken[-1][0]

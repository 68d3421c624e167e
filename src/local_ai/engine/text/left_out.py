"""Texts in place of what a model cannot read; in what the answer should be about they would not do."""

from collections.abc import Sequence

_LEFT_OUT = " left out: it cannot be read here]"


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

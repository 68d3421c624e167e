"""Sounds, files and hosted tools' blocks in a conversation, which no model here can read.

A short text replaces each, so that a conversation that contains one can continue. Only the user's own newest
message may not hold any: there it is what the answer should be about.
"""

from __future__ import annotations

from pydantic import ConfigDict

from local_ai.engine.api.body import Body
from local_ai.engine.text.left_out import placeholder

BLIND = "the models here read text and pictures only"


class Unreadable(Body):
    """A part of a conversation that no model here can read, whatever it holds."""

    model_config = ConfigDict(extra="allow")

    type: str

    @property
    def text(self) -> str:
        """The text in its place: always the same, so that the prompt stays a remembered one."""
        return placeholder(self.type)

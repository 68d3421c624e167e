"""The requests that have ended: when, by which client, with which model, and how; never what they said."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_MOST = 100
# The first product of a User-Agent (RFC 9110, 10.1.5): "OpenAI/Python", "claude-cli/2.1.197".
_PRODUCT = re.compile(r"[\w!#$%&'*+.^`|~-]+(/[\w!#$%&'*+.^`|~-]+)?", re.ASCII)
_LONGEST_PRODUCT = 40
_BROWSER = "Mozilla/"  # all of them begin so


@dataclass(frozen=True)
class EndedRequest:
    """One request that has ended."""

    id: str
    at: float  # seconds since 1970, when it ended
    path: str
    client: str  # as its User-Agent begins; "" where it names none
    model: str | None
    outcome: str  # answered | refused | failed | queue_full | cut | client_left
    text: str  # the outcome in words
    seconds: float  # from its arrival
    first_s: float | None  # from its arrival to the first part of its answer
    # Of text that mlx-lm generated; None where the engine does not tell.
    prompt_tokens: int | None = None
    cached_tokens: int | None = None  # of the prompt's
    answer_tokens: int | None = None
    tokens_per_s: float | None = None
    miss: str | None = None  # why no more of the prompt was reused


class Activity:
    """The last hundred requests of one gateway, the newest first."""

    def __init__(self) -> None:
        self._ended: deque[EndedRequest] = deque(maxlen=_MOST)

    def note(self, request: EndedRequest) -> None:
        """Keep a request that has ended."""
        self._ended.appendleft(request)

    def read(self, told: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the requests with what the engine tells of them, by request id."""
        figures = {one["id"]: one for one in told}
        return [{**vars(request), **figures.get(request.id, {})} for request in self._ended]


def client_name(user_agent: str) -> str:
    """Return the product that a User-Agent begins with, at most 40 characters; "browser" for any browser."""
    if user_agent.startswith(_BROWSER):
        return "browser"
    found = _PRODUCT.match(user_agent)
    return found[0][:_LONGEST_PRODUCT] if found else ""

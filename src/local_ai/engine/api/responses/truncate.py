"""`truncation: auto`: leave out a conversation's oldest turns where the context is too small for all."""

import dataclasses
from collections.abc import Awaitable, Callable

from local_ai.engine.text.conversation import Ask, Limits, Message
from local_ai.engine.text.service import Opened
from local_ai.serving.errors import ApiError

Attempt = Callable[[Ask], Awaitable[Opened]]


async def open_with_fewer_turns(ask: Ask, attempt: Attempt) -> Opened:
    """Open with as many of the latest turns as fit; the system message stays.

    Raises:
        ApiError: Not even the last turn fits, or it fails for another reason.
    """
    shorter = list(shortened(ask.messages))
    fitting = await _try(ask, attempt)
    if fitting is None and shorter:
        fitting = await _search(ask, shorter, attempt)
    return fitting or await attempt(_with(ask, shorter[-1]) if shorter else ask)


def shortened(messages: tuple[Message, ...]) -> list[tuple[Message, ...]]:
    """List the conversation without its first turn, its first two, and so on; a turn begins with the user."""
    head = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    starts = [i for i, message in enumerate(messages) if message.role == "user" and i > head]
    return [(*messages[:head], *messages[start:]) for start in starts]


async def _search(ask: Ask, shorter: list[tuple[Message, ...]], attempt: Attempt) -> Opened | None:
    """Halve the range until the longest that fits is found: each attempt writes the whole prompt."""
    best: Opened | None = None
    low, high = 0, len(shorter)
    while low < high:
        middle = (low + high) // 2
        opened = await _try(_with(ask, shorter[middle]), attempt)
        if opened is None:
            low = middle + 1
        else:
            best, high = opened, middle
    return best


async def _try(ask: Ask, attempt: Attempt) -> Opened | None:
    try:
        opened = await attempt(ask)
    except ApiError as exc:
        if exc.code != "context_length_exceeded":
            raise
        return None
    return opened if _has_room(opened, ask.limits) else None


def _has_room(opened: Opened, limits: Limits) -> bool:
    """Return True if the answer may be as long as asked for, or take half the context where that is less."""
    if limits.max_tokens is None or limits.is_default:
        return True
    context = opened.words.context_tokens
    return context is None or opened.prepared.job.max_tokens >= min(limits.max_tokens, context // 2)


def _with(ask: Ask, messages: tuple[Message, ...]) -> Ask:
    return dataclasses.replace(ask, messages=messages)

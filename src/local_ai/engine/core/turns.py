"""The models that make way for another one, and the turns of two that cannot be held together. Pure.

    A answers; a request for B comes, and there is no room
    ─▶ requests for A that came before it, or at most TURN_S after it, are still begun
    ─▶ A is idle, and no such request waits: A is unloaded, B is loaded
    ─▶ every request that waits for B by then is begun; and so on, the other way round

So a model is loaded for a whole queue, and the other's requests wait for TURN_S and what has begun by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_ai.engine.core.resident import Resident

TURN_S = 10.0
# A client that asks one thing after the other asks the next within milliseconds: two such clients would
# otherwise have a model loaded for each request.
LINGER_S = 0.1


def models_to_unload(held: Iterable[Resident], missing: int) -> tuple[Resident, ...] | None:
    """Choose models to unload: idle ones first, the longest unused first; never a pinned one.

    Args:
        missing: Bytes that are to be given back.

    Returns:
        As few as are needed; busy ones are to be waited for. None: all together are too little.
    """
    candidates = sorted((each for each in held if not each.is_pinned), key=_order)
    chosen: list[Resident] = []
    for each in candidates:
        if missing <= 0:
            break
        chosen.append(each)
        missing -= each.n_bytes
    return tuple(chosen) if missing <= 0 else None


def _order(held: Resident) -> tuple[bool, float]:
    # Of busy ones by a time that does not move, so that always the same one is waited for.
    return held.is_busy, held.loaded_at if held.is_busy else held.last_used


def turn_ends(held: Resident, claimed: float) -> float:
    """Return until when requests for a model must have come to be begun before it makes way.

    Args:
        claimed: When the request came that needs its room.
    """
    return max(held.loaded_at, claimed + TURN_S)


def may_leave(held: Resident, claimed: float, now: float) -> bool:
    """Return True if a model that no request waits for can be unloaded."""
    return not held.is_busy and (now >= held.last_used + LINGER_S or now >= turn_ends(held, claimed))

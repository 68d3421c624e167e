"""The token ids of a picture's places in a prompt: made from the picture, beyond any vocabulary. Pure.

The same picture has the same ids, so a prompt with it begins like a remembered one; another picture of the
same size has others. They are what memory and disk know a prompt by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Above any vocabulary (262,144 is the largest known), and ids are int32 where they are remembered.
FIRST = 2**20
_COUNT = 2**31 - FIRST


@dataclass(frozen=True, eq=False)
class PromptPicture:
    """A picture in a prompt.

    Args:
        digest: Of the picture.
        place: Where in the request it stood.
        tokens: Its places in the prompt, in tokens; in their order, not always side by side.
        inputs: What its model's processor made of it, without a prompt around.
    """

    digest: str
    place: str
    tokens: tuple[int, ...]
    inputs: PictureInputs

    @property
    def end(self) -> int:
        """The token after its last place."""
        return self.tokens[-1] + 1


@dataclass(frozen=True, eq=False)
class PictureInputs:
    """What a model's processor makes of one picture.

    Args:
        text: The prompt's text for it, with a mark for each place.
        rows: Number of its places.
        arrays: What the tower takes, by name.
        positions: Of its places, from the first one on (rows, 3): in time, height and width; None where
            they count like a text's.
    """

    text: str
    rows: int
    arrays: Mapping[str, NDArray[Any]]
    positions: NDArray[np.int32] | None = None

    @property
    def shift(self) -> int:
        """Count the positions that it takes more than places: what follows is moved by so many."""
        return 0 if self.positions is None else int(self.positions.max()) + 1 - self.rows


def picture_tokens(digest: str, count: int) -> list[int]:
    """Make the ids of a picture's places."""
    drawn = np.frombuffer(hashlib.shake_256(digest.encode()).digest(4 * count), dtype="<u4")
    ids: list[int] = (FIRST + drawn.astype(np.int64) % _COUNT).tolist()
    return ids

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
_TILED = 5  # axes of pixels: prompt, tile, colour, height, width


@dataclass(frozen=True, eq=False)
class PromptPicture:
    """A picture in a prompt."""

    digest: str
    place: str  # in the request
    tokens: tuple[int, ...]  # its places in the prompt, in their order, not always side by side
    inputs: PictureInputs  # that its model's processor made of it, without a prompt around

    @property
    def end(self) -> int:
        """The token after its last place."""
        return self.tokens[-1] + 1


@dataclass(frozen=True, eq=False)
class PictureInputs:
    """One picture as a model's processor prepares it."""

    text: str  # of the prompt, with a mark for each place
    rows: int  # number of its places
    image_token: int  # the vocabulary's id for a place
    arrays: Mapping[str, NDArray[Any]]  # that the tower takes, by name
    # What each place does to positions in time, height and width (rows, 4): where it is, against its number
    # in the prompt, and how far what follows is moved, at the last place; None: places count as a text's.
    moves: NDArray[np.int32] | None = None

    @property
    def tiles(self) -> int:
        """Count the parts of it that the tower reads one by one, with as many places each."""
        shape = self.arrays["pixel_values"].shape
        return shape[1] if len(shape) == _TILED and self.rows % shape[1] == 0 else 1

    def of_tile(self, tile: int) -> dict[str, NDArray[Any]]:
        """Return the arrays for one of its tiles, by itself."""
        count = self.tiles
        if count == 1:
            return dict(self.arrays)
        cut = {
            name: array[:, tile : tile + 1]
            for name, array in self.arrays.items()
            if name.startswith("pixel") and array.shape[:2] == (1, count)
        }
        ids = np.full((1, self.rows // count), self.image_token, self.arrays["input_ids"].dtype)
        return cut | {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    @property
    def shift(self) -> int:
        """Count the positions that it takes more than places: what follows is moved by so many."""
        return 0 if self.moves is None else int(self.moves[-1, 3])


def grid_moves(time: int, height: int, width: int) -> NDArray[np.int32]:
    """Say what the places of a picture do to positions, as `PictureInputs.moves`.

    Args:
        time: Places one after the other.
        height: Places from top to bottom.
        width: Places from left to right.
    """
    count = time * height * width
    grid = np.indices((time, height, width)).reshape(3, count)
    moves = np.zeros((count, 4), np.int32)
    moves[:, :3] = (grid - np.arange(count)).T
    moves[-1, 3] = max(time, height, width) - count
    return moves


def picture_tokens(digest: str, count: int) -> list[int]:
    """Make the ids of a picture's places."""
    drawn = np.frombuffer(hashlib.shake_256(digest.encode()).digest(4 * count), dtype="<u4")
    ids: list[int] = (FIRST + drawn.astype(np.int64) % _COUNT).tolist()
    return ids

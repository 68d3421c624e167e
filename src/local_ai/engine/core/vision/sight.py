"""The pictures of the prompts that a batch reads: their rows are made, one picture a step, and looked up."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from local_ai.engine.core.vision.picture_tokens import PictureInputs, PromptPicture
from local_ai.engine.core.vision.rows import LatestRows, Rows, table_tokens
from local_ai.engine.core.vision.shifted_rows import ShiftedRow

if TYPE_CHECKING:
    from local_ai.engine.core.decoding.request import Request
    from local_ai.engine.core.vision.seeing_model import SeeingModel

Array = Any  # mlx.core.array

log = logging.getLogger(__name__)

_MOST_BYTES = 128_000_000  # of the latest pictures' rows


@dataclass(frozen=True)
class Placed:
    """A prompt, where it is to be read still with the ids of its pictures' rows in the table."""

    tokens: tuple[int, ...]
    starts: tuple[int, ...] = field(default=())  # in the table


class Sight:
    """Makes the rows of pictures and hands them to the model; for the generating thread alone."""

    def __init__(self, model: SeeingModel, max_bytes: int = _MOST_BYTES) -> None:
        self._model = model
        self._latest = LatestRows(max_bytes)
        self.looked = 0  # pictures that went through the tower

    def lacks(self, request: Request, known: int) -> PromptPicture | None:
        """Find a picture whose rows are to be made before a prompt can be read.

        Args:
            known: The first so many tokens need no reading.
        """
        for picture in _unread(request.job.pictures, known):
            if picture.digest in request.rows:
                continue
            if rows := self._latest.find(picture.digest):
                request.rows[picture.digest] = rows
            else:
                return picture
        return None

    def look(self, request: Request, picture: PromptPicture) -> None:
        """Make the rows of a picture, or of the next of its tiles; nothing else is done meanwhile.

        Raises:
            Exception: As the model does.
        """
        started = time.perf_counter()
        tiles = request.tiles.setdefault(picture.digest, [])
        tiles.append(self._embeddings_of(picture.inputs, len(tiles)))
        took = time.perf_counter() - started
        log.info("looked at tile %d of %d of a picture in %.2f s", len(tiles), picture.inputs.tiles, took)
        if len(tiles) < picture.inputs.tiles:
            return
        moves = picture.inputs.moves
        embeddings = mx.concatenate(request.tiles.pop(picture.digest))
        rows = Rows(embeddings, None if moves is None else mx.array(moves))
        mx.eval(rows.embeddings)
        request.rows[picture.digest] = rows
        self._latest.add(picture.digest, rows)
        self.looked += 1

    def _embeddings_of(self, inputs: PictureInputs, tile: int) -> Array:
        arrays = {name: mx.array(value) for name, value in inputs.of_tile(tile).items()}
        ids = arrays.pop("input_ids")
        mask = arrays.pop("attention_mask", None)
        made = self._model.whole.get_input_embeddings(ids, arrays.pop("pixel_values"), mask=mask, **arrays)
        places = mx.array(np.flatnonzero(np.array(ids[0]) == self._model.image_token))
        embeddings = made.inputs_embeds[0][places]
        if made.deepstack_visual_embeds is not None:
            deeper = [level.astype(embeddings.dtype) for level in made.deepstack_visual_embeds]
            embeddings = mx.concatenate([embeddings, *deeper], axis=1)
        mx.eval(embeddings)
        return embeddings

    def place(self, request: Request, known: int) -> Placed:
        """Put the rows that a prompt needs in the table, and name them in it; none may lack.

        Args:
            known: The first so many tokens need no reading.
        """
        job = request.job
        tokens = list(job.prompt)
        starts: dict[str, int] = {}
        for picture in _unread(job.pictures, known):
            if picture.digest not in starts:
                starts[picture.digest] = self._model.table.take(request.rows[picture.digest])
            ids = table_tokens(starts[picture.digest], picture.inputs.rows)
            for at, token in zip(picture.tokens, ids, strict=True):
                tokens[at] = token
        request.rows.clear()
        return Placed(tuple(tokens), tuple(starts.values()))

    def bounds(self, request: Request, known: int) -> list[tuple[int, int]]:
        """List where pictures begin and end that must be read in one piece, in tokens.

        Args:
            known: The first so many tokens need no reading.
        """
        if not self._model.reads_whole:
            return []
        return [(each.tokens[0], each.end) for each in _unread(request.job.pictures, known)]

    def layers(self, layers: list[Any], request: Request, known: int) -> list[Any]:
        """Say in a prompt's layers how far the pictures that they cover move what follows."""
        if not self._model.moves_positions:
            return layers
        moved = sum(each.inputs.shift for each in request.job.pictures if each.end <= known)
        at = self._model.shifted
        return [*layers[:at], ShiftedRow.of(layers[at], moved), *layers[at + 1 :]]

    def give_back(self, starts: Sequence[int]) -> None:
        """Take note that a prompt is read."""
        for start in starts:
            self._model.table.give_back(start)

    def forget(self) -> None:
        """Give back the memory of rows that no prompt waits for."""
        self._latest.clear()

    def clear(self) -> None:
        """Take note that no prompt is being read any more."""
        self._model.table.clear()


def as_remembered(tokens: list[int], prompt: Sequence[int]) -> list[int]:
    """Name what layers cover by the prompt's own ids, in place of the table's."""
    return [*prompt[: len(tokens)], *tokens[len(prompt) :]]


def _unread(pictures: Sequence[PromptPicture], known: int) -> list[PromptPicture]:
    return [picture for picture in pictures if picture.end > known]

"""The pictures of the prompts that a batch reads: their rows are made in short steps, and looked up."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from local_ai.engine.core.array import Array
from local_ai.engine.core.vision.picture_tokens import PictureInputs, PromptPicture
from local_ai.engine.core.vision.rows import LatestRows, Rows, table_tokens
from local_ai.engine.core.vision.shifted_rows import ShiftedRow
from local_ai.engine.core.vision.tower import Tower

if TYPE_CHECKING:
    from local_ai.engine.core.tasks import Request
    from local_ai.engine.core.vision.seeing_model import SeeingModel

log = logging.getLogger(__name__)

_STEP_S = 0.1  # of looking, between two steps of answers
_MOST_BYTES = 128_000_000  # of the latest pictures' rows


@dataclass(frozen=True)
class Placed:
    """A prompt, where it is to be read still with the ids of its pictures' rows in the table."""

    tokens: tuple[int, ...]
    starts: tuple[int, ...] = ()  # in the table


class Sight:
    """Makes the rows of pictures and hands them to the model; for the generating thread alone."""

    def __init__(self, model: SeeingModel, max_bytes: int = _MOST_BYTES) -> None:
        self._model = model
        self._tower = Tower(model.whole)
        self._latest = LatestRows(max_bytes)
        self.looked = 0  # pictures that went through the tower

    def lacks(self, request: Request, known: int) -> PromptPicture | None:
        """Find a picture whose rows are to be made before a prompt can be read beyond its `known` tokens."""
        for picture in _unread(request.job.pictures, known):
            if picture.digest in request.rows:
                continue
            if rows := self._latest.find(picture.digest):
                request.rows[picture.digest] = rows
            else:
                return picture
        return None

    def look(self, request: Request, picture: PromptPicture) -> None:
        """Go on making a picture's rows, for a short time or to the end of a tile; raises as the model."""
        digest, started = picture.digest, time.perf_counter()
        steps = request.looks.get(digest) or self._look(request, picture)
        request.looks[digest] = steps
        try:
            while not next(steps) and time.perf_counter() - started < _STEP_S:
                pass
        except StopIteration:
            del request.looks[digest]
        except Exception:
            del request.looks[digest]
            raise

    def _look(self, request: Request, picture: PromptPicture) -> Iterator[bool]:
        """Make the rows of a picture step by step; yield True where a tile ends."""
        started, inputs = time.perf_counter(), picture.inputs
        tiles = []
        for tile in range(inputs.tiles):
            embeddings = yield from self._tower.steps(partial(self._embeddings_of, inputs, tile))
            tiles.append(embeddings)
            yield tile + 1 < inputs.tiles
        moves = inputs.moves
        rows = Rows(mx.concatenate(tiles), None if moves is None else mx.array(moves))
        mx.eval(rows.embeddings)
        request.rows[picture.digest] = rows
        self._latest.add(picture.digest, rows)
        self.looked += 1
        took = time.perf_counter() - started
        log.info("looked at a picture of %d places, %d tiles, within %.2f s", inputs.rows, inputs.tiles, took)

    def _embeddings_of(self, inputs: PictureInputs, tile: int) -> Array:
        """Write down how a tile's rows are made; nothing is computed yet."""
        arrays = {name: mx.array(value) for name, value in inputs.of_tile(tile).items()}
        ids = arrays.pop("input_ids")
        mask = arrays.pop("attention_mask", None)
        made = self._model.whole.get_input_embeddings(ids, arrays.pop("pixel_values"), mask=mask, **arrays)
        places = mx.array(np.flatnonzero(np.array(ids[0]) == self._model.image_token))
        embeddings = made.inputs_embeds[0][places]
        if made.deepstack_visual_embeds is not None:
            deeper = [level.astype(embeddings.dtype) for level in made.deepstack_visual_embeds]
            embeddings = mx.concatenate([embeddings, *deeper], axis=1)
        return embeddings

    def place(self, request: Request, known: int) -> Placed:
        """Put the rows that a prompt needs beyond its `known` tokens in the table, and name them."""
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
        """List in tokens where pictures beyond the `known` ones begin and end that are read in one piece."""
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

"""Pictures as a model's processor prepares them: places in the prompt, and arrays for the vision tower."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from local_ai.engine.core.vision.picture_tokens import (
    PictureInputs,
    PromptPicture,
    grid_moves,
    picture_tokens,
)
from local_ai.engine.pictures.picture import Picture

log = logging.getLogger(__name__)

_MARKS = ("boi_token", "image_token")  # what processors call the mark that a template puts for a picture
_HIDDEN = "\ue0f1"  # of the private use area: stands for the mark's first character in what people write
_MOST_KEPT_BYTES = 256_000_000  # of the latest pictures' arrays
_SIDE = 64  # pixels, of the picture that finds out how the processor is called


@dataclass(frozen=True)
class ShownText:
    """A prompt's text with its pictures."""

    text: str  # with marks for all places
    spans: tuple[tuple[int, int], ...]  # where each picture begins and ends, in characters
    inputs: tuple[PictureInputs, ...]  # that the processor made of each
    pictures: tuple[Picture, ...]
    mark_length: int  # characters

    def moved(self, place: int) -> int:
        """Return where a place in the template's text is now, in characters."""
        growth = 0
        for start, end in self.spans:
            if start - growth >= place:
                break
            growth += end - start - self.mark_length
        return place + growth


class UnreadablePicture(Exception):
    """A picture that a model's processor refuses; says why."""

    def __init__(self, picture: Picture, why: str) -> None:
        super().__init__(why)
        self.picture = picture


class Eyes:
    """A model's processor of pictures; used by any thread, one at a time."""

    def __init__(self, processor: Any, image_token: int, merged: int | None = None) -> None:
        """Find out which mark the processor takes for a picture.

        Args:
            processor: mlx-vlm's.
            image_token: The vocabulary's id for a picture's place.
            merged: Patches of a place, along an edge, where pictures have positions in height and width.

        Raises:
            ValueError: It takes none.
        """
        self._processor = processor
        self._tokenizer = getattr(processor, "tokenizer", processor)
        self._image_token = image_token
        self._merged = merged
        self._lock = threading.Lock()
        self._latest: OrderedDict[str, PictureInputs] = OrderedDict()
        self.mark = self._find_mark()

    def _find_mark(self) -> str:
        picture = Picture(bytes(3 * _SIDE * _SIDE), _SIDE, _SIDE, "")
        reasons: list[str] = []
        for name in _MARKS:
            mark = getattr(self._processor, name, None)
            if not isinstance(mark, str):
                continue
            try:
                self._process(picture, mark)
            except Exception as exc:  # processors raise what they like
                reasons.append(f"{mark}: {type(exc).__name__}: {exc}")
                continue
            return mark
        raise ValueError(f"its processor takes no picture ({'; '.join(reasons) or 'it knows no mark'})")

    def hidden(self, text: str) -> str:
        """Write a text so that a mark in it is none; `show` takes that back."""
        return text.replace(self.mark, _HIDDEN + self.mark[1:])

    def show(self, text: str, pictures: Sequence[Picture]) -> ShownText:
        """Put pictures where a template's text has marks.

        Raises:
            UnreadablePicture: One that the processor refuses.
            ValueError: There are not as many marks as pictures.
        """
        parts = text.split(self.mark)
        if len(parts) != len(pictures) + 1:
            raise ValueError(f"it shows {len(parts) - 1} of the {len(pictures)} pictures")
        parts = [part.replace(_HIDDEN + self.mark[1:], self.mark) for part in parts]
        inputs = tuple(self._look(picture) for picture in pictures)
        written = parts[0]
        spans = []
        for each, part in zip(inputs, parts[1:], strict=True):
            spans.append((len(written), len(written) + len(each.text)))
            written += each.text + part
        return ShownText(written, tuple(spans), inputs, tuple(pictures), len(self.mark))

    def _look(self, picture: Picture) -> PictureInputs:
        with self._lock:
            if found := self._latest.get(picture.digest):
                self._latest.move_to_end(picture.digest)
                return found
            try:
                inputs = self._process(picture, self.mark)
            except Exception as exc:  # processors raise what they like
                why = " ".join(str(exc).split())[:300] or type(exc).__name__
                raise UnreadablePicture(picture, why) from exc
            self._latest[picture.digest] = inputs
            while len(self._latest) > 1 and self._kept_bytes() > _MOST_KEPT_BYTES:
                self._latest.popitem(last=False)
            return inputs

    def _kept_bytes(self) -> int:
        return sum(array.nbytes for each in self._latest.values() for array in each.arrays.values())

    def _process(self, picture: Picture, mark: str) -> PictureInputs:
        from mlx_vlm import utils
        from PIL import Image

        image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
        prepare: Any = utils.prepare_inputs
        made = prepare(self._processor, images=[image], prompts=mark, image_token_index=self._image_token)
        # Plain arrays: those of MLX belong to the thread that computes.
        arrays = {name: np.array(value) for name, value in made.items() if hasattr(value, "shape")}
        ids = arrays["input_ids"][0].tolist()
        rows = ids.count(self._image_token)
        if not rows or "pixel_values" not in arrays:
            raise ValueError("it gives a picture no place in the prompt")
        around = self._tokenizer("").input_ids  # that begins any text
        text = self._tokenizer.decode(
            ids[len(around) :] if ids[: len(around)] == around else ids, skip_special_tokens=False
        )
        return PictureInputs(text, rows, self._image_token, arrays, self._moves(arrays, rows))

    def _moves(self, arrays: dict[str, Any], rows: int) -> Any:
        if self._merged is None:
            return None
        time, height, width = arrays["image_grid_thw"][0].tolist()
        moves = grid_moves(time, height // self._merged, width // self._merged)
        if len(moves) != rows:
            raise ValueError(f"it makes {rows} places of a grid of {len(moves)}")
        return moves

    def place(
        self, shown: ShownText, tokens: list[int], offsets: Sequence[tuple[int, int]]
    ) -> tuple[list[int], tuple[PromptPicture, ...]]:
        """Give the places of pictures ids of their own.

        Args:
            tokens: Of the text.
            offsets: Where each of them begins and ends in it, in characters.

        Returns:
            The tokens with those ids, and the pictures.

        Raises:
            ValueError: The tokenizer does not make of a picture what the processor does.
        """
        written = list(tokens)
        pictures = []
        begins = np.asarray([begin for begin, _ in offsets])
        is_place = np.asarray(tokens) == self._image_token
        for (start, end), inputs, picture in zip(shown.spans, shown.inputs, shown.pictures, strict=True):
            places = np.flatnonzero(is_place & (begins >= start) & (begins < end)).tolist()
            if len(places) != inputs.rows:
                raise ValueError(f"its tokenizer makes {len(places)} places of {inputs.rows}")
            for at, token in zip(places, picture_tokens(picture.digest, inputs.rows), strict=True):
                written[at] = token
            pictures.append(PromptPicture(picture.digest, picture.place, tuple(places), inputs))
        return written, tuple(pictures)

"""Pictures prepared together with the prompt that shows them, as a model's processor does it by itself.

For models that answer one request at a time; where a picture's rows can be made by themselves, see `eyes`.
"""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from local_ai.engine.pictures.picture import Picture

# Of the private use area: stands for a picture in a text, where the template knows nothing of pictures.
_PLACE = "\ue0f2"
_BREAK = "\u2060"  # a word joiner: after the first character of a mark, that is none then
_MARKS = ("boi_token", "image_token", "eoi_token", "image_break_token", "image_end_token")
_WRITTEN_SO = re.compile(r"<\|?/?(image|img|vision|IMG)\w*\|?>|\[IMG\w*\]")


@dataclass(frozen=True, eq=False)
class PromptInputs:
    """A prompt with its pictures, as a model's processor prepares it."""

    tokens: tuple[int, ...]  # for a reader: those of no vocabulary are 0
    arrays: Mapping[str, Any]  # by name. Plain ones: MLX's belong to the thread that computes

    def of_mlx(self) -> dict[str, Any]:
        """Return the arrays as MLX's, on the thread that computes."""
        return {name: _of_mlx(value) for name, value in self.arrays.items()}


class PromptEyes:
    """A model's processor of prompts with pictures; used by any thread, one at a time."""

    def __init__(self, processor: Any, config: Any) -> None:
        """Find out how pictures are shown to mlx-vlm's processor, by the config as mlx-vlm reads it."""
        from mlx_vlm.prompt_utils import MODEL_CONFIG, SINGLE_IMAGE_ONLY_MODELS, MessageFormat

        family = str(config.model_type).lower()
        written = MODEL_CONFIG.get(family)
        self._processor = processor
        self._image_token = getattr(config, "image_token_index", None)
        # Where the template takes texts alone, each picture is a mark in them.
        self._mark = _MARK_OF.get(written.name) if written is not None else None
        kind = "image_url" if written is MessageFormat.LIST_WITH_IMAGE_URL_FIRST else "image"
        # What stands for a picture in a message for the template: in a text, or as a part of a list.
        self.picture = {"type": kind} if self._mark is None else _PLACE
        self.takes_one = family in SINGLE_IMAGE_ONLY_MODELS
        # Some processors bring their own; mlx-vlm takes it first.
        self.template = getattr(processor, "chat_template", None)
        self._lock = threading.Lock()
        self._marks = [
            mark
            for owner in (processor, getattr(processor, "tokenizer", None))
            for name in _MARKS
            if isinstance(mark := getattr(owner, name, None), str) and mark
        ]

    def hidden(self, text: str) -> str:
        """Write a text so that a mark in it is none."""
        for mark in self._marks:
            text = text.replace(mark, mark[0] + _BREAK + mark[1:])
        return _WRITTEN_SO.sub(lambda found: found[0][0] + _BREAK + found[0][1:], text)

    def show(self, text: str, pictures: Sequence[Picture]) -> PromptInputs:
        """Prepare a prompt.

        Args:
            text: As the template wrote it.

        Raises:
            ValueError: It does not show the pictures, or the processor refuses them.
        """
        from PIL import Image

        if self.takes_one and len(pictures) > 1:
            raise ValueError(f"it takes one picture in a conversation, and there are {len(pictures)}")
        if self._mark is not None:
            text = _marked(text, self._mark, len(pictures))
        images = [Image.frombytes("RGB", (each.width, each.height), each.rgb) for each in pictures]
        with self._lock:
            try:
                made = self._process(images, text)
            except Exception as exc:  # processors raise what they like
                why = " ".join(str(exc).split())[:300] or type(exc).__name__
                raise ValueError(f"its processor refuses them: {why}") from exc
            arrays = {name: _plain(value) for name, value in made.items() if value is not None}
        ids = np.atleast_2d(arrays["input_ids"])
        arrays["input_ids"] = ids
        return PromptInputs(tuple(max(int(token), 0) for token in ids[0]), arrays)

    def _process(self, images: list[Any], text: str) -> dict[str, Any]:
        from mlx_vlm import utils

        prepare: Any = utils.prepare_inputs
        try:
            made: dict[str, Any] = prepare(
                self._processor, images=images, prompts=text, image_token_index=self._image_token
            )
        except ValueError as exc:
            # mlx-vlm 0.7.10's LLaVA hands padding on to transformers' picture side, which refuses it (5.24).
            if "unexpected keyword argument 'padding'" not in str(exc):
                raise
            made = dict(self._processor(images=images, text=text))
        return made


_MARK_OF = {
    "IMAGE_TOKEN": "<image>",
    "IMAGE_TOKEN_PIPE": "<|image|>",
    "IMAGE_PATCH_TOKEN": "<im_patch>",
    "IMAGE_TOKEN_NEWLINE": "<image>\n",
    "SINGLE_IMAGE_TOKEN": "<image>",
    "IMAGE_TOKEN_WRAPPED": "(<image>./</image>)\n",
    "NUMBERED_IMAGE_TOKENS": "<|image_{}|>",
    "PROMPT_WITH_IMAGE_TOKEN": "<image>",
    "PROMPT_ONLY": "",
    "TEXT_ONLY": "",
}


def _marked(text: str, mark: str, count: int) -> str:
    parts = text.split(_PLACE)
    if len(parts) != count + 1:
        raise ValueError(f"its chat template shows {len(parts) - 1} of the {count} pictures")
    marks = [mark.format(number) for number in range(1, count + 1)]
    return parts[0] + "".join(map("".join, zip(marks, parts[1:], strict=True)))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if not hasattr(value, "shape"):
        return value
    if "bfloat16" in str(value.dtype):
        import mlx.core as mx

        value = value.astype(mx.float32)
    return np.array(value)


def _of_mlx(value: Any) -> Any:
    import mlx.core as mx

    if isinstance(value, list):
        return [_of_mlx(each) for each in value]
    return mx.array(value) if isinstance(value, np.ndarray) else value

"""The pictures of a prompt: put where its template shows them, and given tokens."""

import json
from collections.abc import Sequence
from typing import Any

from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.vision.eyes import Eyes, ShownText, UnreadablePicture
from local_ai.engine.core.vision.picture_tokens import PromptPicture
from local_ai.engine.core.vision.prompt_eyes import PromptEyes, PromptInputs
from local_ai.engine.errors import bad_field
from local_ai.engine.pictures.picture import Picture
from local_ai.serving.errors import ApiError


def hidden(content: Any, eyes: Eyes | PromptEyes | None) -> Any:
    """Write what people wrote so that no mark for a picture is in it; `show` takes that back, for Eyes.

    Args:
        content: Of lists, objects and texts.
    """
    if eyes is None:
        return content
    return json.loads(eyes.hidden(json.dumps(content, ensure_ascii=False)))


def show(text: str, pictures: Sequence[Picture], words: ModelWords, param: str) -> ShownText:
    """Put pictures where a template's text has marks for them.

    Raises:
        ApiError: 400, naming the picture.
    """
    assert isinstance(words.eyes, Eyes)
    try:
        return words.eyes.show(text, pictures)
    except UnreadablePicture as exc:
        place = exc.picture.place or param
        why = f"the processor of {words.key.id!r} refuses the picture: {exc}"
        raise bad_field(place, why, "send another size or shape of it, or take another model") from exc
    except ValueError as exc:
        raise _unlike(words, param, f"its chat template does not fit: {exc}") from exc


def show_in_prompt(text: str, pictures: Sequence[Picture], words: ModelWords, param: str) -> PromptInputs:
    """Prepare a template's text together with its pictures.

    Raises:
        ApiError: 400.
    """
    assert isinstance(words.eyes, PromptEyes)
    try:
        return words.eyes.show(text, pictures)
    except ValueError as exc:
        raise _unlike(words, pictures[0].place if len(pictures) == 1 else param, str(exc)) from exc


def place(
    shown: ShownText, tokens: list[int], words: ModelWords, param: str
) -> tuple[list[int], tuple[PromptPicture, ...]]:
    """Give the places of pictures tokens of their own.

    Raises:
        ApiError: 400, tokenizer and processor do not belong together.
    """
    assert isinstance(words.eyes, Eyes)
    try:
        return words.eyes.place(shown, tokens, words.offsets(shown.text))
    except ValueError as exc:
        raise _unlike(words, param, str(exc)) from exc


def _unlike(words: ModelWords, param: str, why: str) -> ApiError:
    return bad_field(
        param,
        f"pictures cannot be shown to {words.key.id!r}: {why}",
        "take another model that sees, or download this one again",
    )

"""Places of a prompt where other conversations may go on differently, found by means of the template.

    system and tools │ earlier turns │ the user's last words │ what begins the answer
                     1               2                       3

Each place is where the prompt's text stops agreeing with a conversation that differs from there on, as the
template itself writes it: a template may move a system text, drop earlier thoughts or open a thought. A wrong
place costs time, never an answer. Pure, but for the template.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from local_ai.engine.core.model.tokenizer import ModelWords, native_tokenizer
from local_ai.engine.text.conversation import Message

_MOST_SPACES = 8
_OTHER = Message("user", "\N{REFERENCE MARK}")  # begins as hardly any text does

Write = Callable[[Sequence[Message]], str]


def branch_places(write: Write, messages: Sequence[Message], text: str) -> list[int]:
    """Find the places where prompts branch off.

    Args:
        write: Writes messages with the model's template, without the beginning of an answer. May raise.
        messages: The prompt's, at least one.
        text: The prompt.

    Returns:
        Places in `text`, in characters, rising, its beginning and end left out.
    """
    texts = (_try(write, other) for other in _others(list(messages)))
    places = {_common(text, other) for other in texts if other is not None}
    return sorted(place for place in places if 0 < place < len(text))


def token_places(
    words: ModelWords, text: str, tokens: Sequence[int], places: Sequence[int]
) -> tuple[int, ...]:
    """Count how many of a text's tokens lie wholly before each place.

    Args:
        words: The model's text side, which made the tokens.
        text: The whole text.
        tokens: That it was made into.
        places: In characters.
    """
    if places and (native := native_tokenizer(words.tokenizer)):
        (encoding,) = native.encode_batch([text], add_special_tokens=False)  # see tokenizer.py
        if len(encoding) == len(tokens):
            return tuple(_token_at(encoding, place, len(tokens)) for place in places)
    return tuple(_common(tokens, words.encode(text[:place])) for place in places)


def _others(messages: list[Message]) -> list[list[Message]]:
    """List conversations that begin as this one does and then continue differently."""
    system = next((at for at, message in enumerate(messages) if message.role != "system"), len(messages))
    others = [[*messages[:system], _OTHER]]
    if user := [at for at, message in enumerate(messages) if message.role == "user"]:
        # A later turn may show the answer without its thought, or the user's words without a suffix.
        later = [*messages[: user[-1] + 1], replace(_OTHER, role="assistant"), _OTHER]
        others += [[*messages[: user[-1]], _OTHER], later]
    if messages[-1].role != "user":
        others.append(messages)
    return others


def _try(write: Write, messages: Sequence[Message]) -> str | None:
    try:
        return write(messages)
    except Exception:  # templates are programs: they refuse what they like
        return None


def _common(left: Sequence[Any], right: Sequence[Any]) -> int:
    """Count the characters, or tokens, that both begin with."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if left[low:middle] == right[low:middle] else (low, middle - 1)
    return low


def _token_at(encoding: Any, place: int, most: int) -> int:
    # A space before a word may belong to no token, by the tokenizer's own account.
    found = (encoding.char_to_token(place + after) for after in range(_MOST_SPACES))
    return next((int(token) for token in found if token is not None), most)

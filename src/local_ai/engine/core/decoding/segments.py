"""The places where the reading of a prompt pauses, for its state there to be kept. Pure."""

from collections.abc import Iterable
from itertools import pairwise

_STRIDE_TOKENS = 2048
_MOST_STRIDES = 8  # of one prompt; a longer one gets larger strides
_LEAST_BEGINNING = 16  # tokens; a shorter one is read in no time
_LEAST_TOKENS = 256  # between a stride's end and another place


def pauses(prompt_tokens: int, read: int, branches: Iterable[int]) -> list[int]:
    """List the places, in tokens from the prompt's beginning, before the end of what is read at once.

    Args:
        prompt_tokens: Length of the prompt; its last token begins the answer.
        read: How many of them need no reading.
        branches: Places where another prompt may continue differently.
    """
    end = prompt_tokens - 1
    chosen = {place for place in branches if read < place < end and place >= _LEAST_BEGINNING}
    stride = _STRIDE_TOKENS
    while end // stride > _MOST_STRIDES:
        stride *= 2
    # Multiples of one number: prompts that begin alike share them.
    for place in range(stride, end, stride):
        if all(abs(place - other) >= _LEAST_TOKENS for other in (read, end, *chosen)) and place > read:
            chosen.add(place)
    return sorted(chosen)


def around(places: Iterable[int], pictures: Iterable[tuple[int, int]]) -> list[int]:
    """Add the beginnings and ends of pictures to places, and leave out those inside of a picture."""
    spans = list(pictures)
    chosen = {place for place in places if not any(start < place < end for start, end in spans)}
    return sorted(chosen.union(*spans))


def cut(prompt: tuple[int, ...], read: int, places: list[int]) -> list[list[int]]:
    """Cut what is left to read of a prompt at these places."""
    bounds = [read, *places, len(prompt)]
    return [list(prompt[start:end]) for start, end in pairwise(bounds)]

"""The pieces of prompts that one step reads, so that no other request waits long.

A step cannot be interrupted: a client that leaves, an answer that grows and a short question beside a long
prompt all wait until it has ended. Large pieces are read faster, so a prompt that is alone gets them.
"""

from collections.abc import Sequence

_PROMPTS = 8  # read side by side, as mlx_lm.server
MOST_PROMPTS = 64  # where the device reads so many short ones in a moment
_MOST_LONG = 4  # of them; the rest is kept for short ones
_SHORT_TOKENS = 256
_USUAL_TOKENS = 64  # of a short prompt, roughly

_ALONE_S = 0.4  # longest time of a piece while only its own client waits
_COMPANY_S = 0.2  # and so long where answers grow meanwhile
_LEAST_S = 0.02  # of a piece that others wait for, where the device is fast
_LEAST_TOKENS = 32
_MOST_TOKENS = 2048
_MOST_SCORES = 2048 * 16_384  # of one head, where attention keeps them all


def bounded_by_scores(piece: int, prompts: int, longest: int) -> int:
    """Bound a piece where attention keeps a score for each of its tokens and each token before it.

    So it is on a card without cuDNN's attention: of a piece of 2,048 tokens at the end of 100,000, 32 heads
    would keep 13 GB.

    Args:
        piece: Tokens of each prompt.
        prompts: That are read.
        longest: Tokens of the longest.
    """
    return max(_LEAST_TOKENS, min(piece, _MOST_SCORES // (prompts * longest)))


class PrefillPace:
    """The measured speed at which prompts are read."""

    def __init__(self, first_piece: int, *, least_tokens: int = 0) -> None:
        """Begin with a guess.

        Args:
            first_piece: Tokens read in a step that is alone.
            least_tokens: Of all prompts together, that a step reads in no longer time than fewer.
        """
        self._tokens_per_s = first_piece / _ALONE_S
        self._least_tokens = least_tokens

    def has_room(self, reading: Sequence[int], tokens: int) -> bool:
        """Return True if a prompt of so many tokens can be read beside those with so many tokens left.

        Each time that rows join a batch, all of it is copied: the fewer times, the better.
        """
        most = min(MOST_PROMPTS, max(_PROMPTS, int(_COMPANY_S * self._tokens_per_s) // _USUAL_TOKENS))
        long = sum(left > _SHORT_TOKENS for left in reading)
        return len(reading) < most and (tokens <= _SHORT_TOKENS or long < _MOST_LONG)

    def piece(self, reading: Sequence[int], *, company: bool) -> int:
        """Choose how many tokens of each prompt are read in the next step.

        Args:
            reading: Tokens left of each prompt that is being read; its last one begins the answer.
            company: Answers are growing beside.
        """
        quick = max(int(_LEAST_S * self._tokens_per_s), self._least_tokens)
        least = max(_LEAST_TOKENS, min(quick // len(reading), _MOST_TOKENS))
        # The first token of a prompt that has one left comes out after this step.
        if len(reading) > 1 and 1 in reading:
            return least
        # The shortest one first: shorter prompts in a step are filled up to the longest piece.
        shortest = max(1, min(reading) - 1)
        budget = (_COMPANY_S if company else _ALONE_S) * self._tokens_per_s
        piece = min(int(budget) // len(reading), _MOST_TOKENS)
        if len(reading) > 1 and shortest < piece / 2:
            piece = shortest
        return max(piece, least)

    def learn(self, tokens: int, elapsed_s: float) -> None:
        """Take in a step that read so many tokens; one odd measurement changes little."""
        measured = tokens / max(elapsed_s, 1e-6)
        if measured < self._tokens_per_s and tokens < min(self._tokens_per_s * _COMPANY_S, _MOST_TOKENS) / 2:
            return  # small pieces are slow by nature: they do not tell how fast a large one would be
        self._tokens_per_s = min(max(measured, self._tokens_per_s / 2), self._tokens_per_s * 2)

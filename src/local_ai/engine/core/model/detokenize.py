"""Tokens to text while they come, a complete character at a time.

mlx-lm's own streaming detokenizers drop the first space of an answer, and what is still held back at its end.

Source: the two offsets are Hugging Face text-generation-inference's (`Model.decode_token`).
"""

from collections.abc import Sequence

from local_ai.engine.core.model.tokenizer import ModelWords

_CONTEXT = 6  # prompt tokens decoded along, so that a leading space is kept
_MOST_HELD = 12  # tokens; no character is longer, so these bytes are not text
_INCOMPLETE = "\ufffd"


class Detokenizer:
    """One answer's text so far."""

    def __init__(self, words: ModelWords, prompt: Sequence[int]) -> None:
        self._words = words
        self._tokens = list(prompt[-_CONTEXT:])
        self._read = len(self._tokens)
        self._is_whole = False  # the text given out ends with a character, and what comes needs no context

    def add(self, token: int) -> str:
        """Take one more token; return the text that became complete, "" if none did.

        A control token is no text.
        """
        if token in self._words.control:
            return ""
        if self._is_whole and not self._tokens and (alone := self._words.text_alone(token)) is not None:
            return alone
        self._tokens.append(token)
        text = self._new_text()
        if text.endswith(_INCOMPLETE) and len(self._tokens) - self._read < _MOST_HELD:
            return ""
        self._is_whole = self._words.joins_bytes and not text.endswith(_INCOMPLETE)
        del self._tokens[: None if self._is_whole else self._read]
        self._read = len(self._tokens)
        return text

    def finish(self) -> str:
        """Return what was held back, without a character that never became complete."""
        return self._new_text().rstrip(_INCOMPLETE) if len(self._tokens) > self._read else ""

    def _new_text(self) -> str:
        before = self._words.decode(self._tokens[: self._read]) if self._read else ""
        after = self._words.decode(self._tokens)
        return after[len(before) :]

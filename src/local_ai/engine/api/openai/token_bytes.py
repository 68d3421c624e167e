"""A token's bytes: what its text cannot show when it holds a part of a character."""

import re
from functools import cache

from local_ai.engine.core.job import TokenLogprob
from local_ai.engine.core.model.tokenizer import ModelWords

_FALLBACK = re.compile("<0x([0-9A-F]{2})>")  # how sentencepiece's vocabularies spell a byte


def token_bytes(chance: TokenLogprob, words: ModelWords) -> list[int]:
    """Return a token's bytes, from its text where that is whole, else from the vocabulary's spelling."""
    if "\ufffd" not in chance.text:
        return list(chance.text.encode("utf-8", "replace"))
    spelling = str(words.tokenizer.convert_ids_to_tokens(chance.token))
    if byte := _FALLBACK.fullmatch(spelling):
        return [int(byte[1], 16)]
    table = _byte_of_letter()
    if all(letter in table for letter in spelling):
        return [table[letter] for letter in spelling]
    return list(chance.text.encode("utf-8", "replace"))


@cache
def _byte_of_letter() -> dict[str, int]:
    """The alphabet in which byte-level vocabularies spell bytes.

    Source: https://github.com/openai/gpt-2/blob/master/src/encoder.py, bytes_to_unicode.
    """
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {chr(byte): byte for byte in plain}
    return table | {chr(256 + n): byte for n, byte in enumerate(others)}

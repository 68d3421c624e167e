"""Text that can be shown and written everywhere, whatever came in."""


def printable(text: str) -> str:
    """Return a text as one line that can be shown and written everywhere: escapes stand for what cannot.

    A path or a name may hold line breaks, other control characters, and bytes that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters; "…" stands for what was cut off."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _escape(letter: str) -> str:
    """Write a letter as Python does; half a character that represents a byte as that byte (PEP 383)."""
    code = ord(letter)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(letter)[1:-1]

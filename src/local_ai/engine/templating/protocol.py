"""The messages between the engine and a template's process, over a socket pair.

`multiprocessing.connection.Connection` frames it. A request is pickled: the template, and the values it may
read by name, of JSON's types. An answer is one byte, which says its kind, and the prompt or the reason in
UTF-8: what comes from a template is not unpickled.
"""

PROMPT, REFUSED = b"p", b"r"


def as_bytes(text: str) -> bytes:
    """Encode a text that may have halves of characters in it, as JSON lets clients send them."""
    return text.encode("utf-8", "surrogatepass")


def as_text(content: bytes) -> str:
    """Decode it."""
    return content.decode("utf-8", "surrogatepass")

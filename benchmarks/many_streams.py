"""Many streams at once, read by one loop that costs next to nothing: beside it the server's speed shows.

A client library takes longer for an event than a fast card does for a token.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Address = Path | int  # a unix socket, or a port of this machine

_TEXT = re.compile(rb'"content": ?"[^"]')
_USAGE = re.compile(rb'"completion_tokens": ?(\d+)')
_DONE = b"data: [DONE]"
_TIMEOUT_S = 600


@dataclass
class Stream:
    """One answer as it came."""

    place: socket.socket
    began: float
    first: float | None = None  # text, on `time.perf_counter`'s clock
    ended: float | None = None
    received: bytes = b""

    @property
    def tokens(self) -> int:
        """Its tokens, as the server counts them."""
        found = _USAGE.findall(self.received)
        if not found:
            raise ConnectionError(f"an answer without usage: {self.received[-500:]!r}")
        return int(found[-1])

    @property
    def first_s(self) -> float:
        """Seconds until its first text."""
        return (self.first or self.ended or time.perf_counter()) - self.began


def begin(address: Address, model: str, text: str, tokens: int) -> Stream:
    """Ask for an answer of so many tokens."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    content = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"connection: close\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    began = time.perf_counter()
    if isinstance(address, int):
        place = socket.create_connection(("127.0.0.1", address))
    else:
        place = socket.socket(socket.AF_UNIX)
        place.connect(str(address))
    place.sendall(head.encode() + content)
    return Stream(place, began)


def read(streams: Sequence[Stream], *, until_first: bool = False) -> None:
    """Read all of them to their ends, or until each has brought a text."""
    waiting = [stream for stream in streams if stream.ended is None]
    with selectors.DefaultSelector() as selector:
        for stream in waiting:
            selector.register(stream.place, selectors.EVENT_READ, stream)
        while any(stream.first is None if until_first else stream.ended is None for stream in waiting):
            ready = selector.select(_TIMEOUT_S)
            if not ready:
                raise TimeoutError(f"no text within {_TIMEOUT_S} s")
            for chosen, _ in ready:
                stream = chosen.data
                chunk = stream.place.recv(1 << 18)
                now = time.perf_counter()
                stream.received += chunk
                if stream.first is None and _TEXT.search(chunk):
                    stream.first = now
                if not chunk or _DONE in chunk:
                    stream.ended = now
                    selector.unregister(stream.place)
                    stream.place.close()


def answer_all(address: Address, model: str, texts: Sequence[str], tokens: int) -> list[Stream]:
    """Ask all at once; return once all are answered."""
    streams = [begin(address, model, text, tokens) for text in texts]
    read(streams)
    return streams

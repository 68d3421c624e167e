"""The framing of a dialect's streams: server-sent events, or lines of JSON."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.responses import StreamingResponse

from local_ai.serving import sse


@dataclass(frozen=True)
class Framing:
    """One way to write a stream."""

    media_type: str
    boundary: bytes  # ends each piece
    sign_of_life: str  # written between two pieces while there are none; "{}" is what it may say

    @property
    def headers(self) -> dict[str, str]:
        return sse.HEADERS | {"content-type": f"{self.media_type}; charset=utf-8"}

    def comment(self, text: str) -> bytes:
        """Write what every client skips; of lines, JSON may begin with spaces, and none may be empty."""
        return self.sign_of_life.format(text).encode()

    def response(self, pieces: AsyncIterator[bytes]) -> StreamingResponse:
        """Answer pieces, as they come."""
        return StreamingResponse(pieces, headers=self.headers)


EVENTS = Framing("text/event-stream", b"\n\n", ": {}\n\n")
# Source: https://docs.ollama.com/api/streaming
LINES = Framing("application/x-ndjson", b"\n", " ")


# Line ends of Unicode that JSON lets stand; Ollama's Python client takes them for its lines' ends.
# Source: str.splitlines, as httpx's iter_lines has it.
_OTHER_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def line(data: Any) -> bytes:
    """Write one line of JSON."""
    return sse.to_json(data).decode().translate(_OTHER_ENDS).encode() + b"\n"

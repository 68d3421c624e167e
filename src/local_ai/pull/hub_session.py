"""The connection to the hub: what it answers is bounded in size and time.

huggingface_hub reads a description, an error or the body of a redirect whole, however long it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from local_ai.pull.hub import RemoteFile

_FILE_BYTES = "local_ai.file_bytes"  # of a request: it is for a file, whose size is checked as it comes
_MOST_BYTES = 32_000_000  # far above the description of 10,000 files
_MOST_ENCODED_BYTES = 256_000  # none is asked for; decoded, it can be a thousand times as long
_MOST_ERROR_BYTES = 64_000
_MOST_S = 60.0


class AnswerTooLongError(Exception):
    """A hub's answer is longer than any that is meant, or takes longer."""


def hub_session() -> httpx2.Client:
    """Return huggingface_hub's own client, with bounds."""
    from huggingface_hub.utils import get_session

    session = get_session()
    hooks = session.event_hooks
    if _bound not in hooks["response"]:
        session.event_hooks = {
            "request": [*hooks["request"], _ask_plain],
            "response": [*hooks["response"], _bound],
        }
    return session


def for_file(file: RemoteFile) -> dict[str, int]:
    """Return the extensions of a request for a file: its answer is not bounded here."""
    return {_FILE_BYTES: file.size_bytes}


def _ask_plain(request: httpx2.Request) -> None:
    request.headers["Accept-Encoding"] = "identity"


def _bound(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.SyncByteStream)
    if response.is_error:
        response.stream = _Bounded(response.stream, _MOST_ERROR_BYTES, is_cut=True)
    elif response.is_redirect or _FILE_BYTES not in response.request.extensions:
        is_plain = response.headers.get("Content-Encoding", "identity") == "identity"
        response.stream = _Bounded(response.stream, _MOST_BYTES if is_plain else _MOST_ENCODED_BYTES)


class _Bounded(httpx2.SyncByteStream):
    """A body that ends: cut, or refused, where it is too long."""

    def __init__(self, stream: httpx2.SyncByteStream, most_bytes: int, *, is_cut: bool = False) -> None:
        self._stream = stream
        self._most_bytes = most_bytes
        self._is_cut = is_cut

    def __iter__(self) -> Iterator[bytes]:
        """Raises AnswerTooLongError."""
        left = self._most_bytes
        end = time.monotonic() + _MOST_S
        for chunk in self._stream:
            left -= len(chunk)
            if left < 0 or time.monotonic() > end:
                if self._is_cut:
                    return
                raise AnswerTooLongError(
                    f"it is longer than {self._most_bytes:,} bytes, or takes over {_MOST_S:.0f} s"
                )
            yield chunk

    def close(self) -> None:
        self._stream.close()

"""uvicorn's connection, with a response's head sent together with the first piece of its body.

uvicorn sends one after the other, so that whoever waits for the answer is woken twice, first by a head that
tells nothing yet.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class WholeHeadsProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection."""
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _WithHeadsHeld(transport, self.loop))


class _WithHeadsHeld:
    """A transport that holds a head until the next piece comes, or until the loop's next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send a piece, after the head that is held; hold it where it looks like one itself."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._send_head)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close, once everything is sent."""
        self._send_head()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are not sent yet."""
        return len(self._head) + self._transport.get_write_buffer_size()

    def _send_head(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

"""httpx over asyncio's streams, by unix socket or TCP: head and body of a request go out in one write.

httpcore itself writes them apart, each after some turns of the event loop, and wakes the engine up twice: a
tenth of the time to a stream's first event. anyio's sockets, which it uses otherwise, also wrote a traceback
(InvalidStateError) where a client left just as bytes came. Imported when first used.
"""

import asyncio
import contextlib
import select
import socket
import ssl
from pathlib import Path
from typing import Any

import httpcore
import httpx

from local_ai.serving.certificates import trusted

_IDLE_S = 60.0  # the engine keeps an idle connection for longer
_MAX_IDLE = 16
_IDLE_AFAR_S = 4.0  # less than the five seconds after which many servers close one


class UnixTransport(httpx.AsyncHTTPTransport):
    """httpx's transport with a pool of its own, which httpx gives no other way to choose."""

    def __init__(self, socket_path: Path) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=None,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_IDLE_S,
            uds=str(socket_path),
            network_backend=_UnixBackend(),
        )


class TcpTransport(httpx.AsyncHTTPTransport):
    """The same over TCP, with TLS where the address says https; certificates are checked."""

    def __init__(self) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted(),
            max_connections=None,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_IDLE_AFAR_S,
            network_backend=_TcpBackend(),
        )


class _TcpBackend(httpcore.AsyncNetworkBackend):
    """Connects by TCP alone, and notices a machine that has gone without a word."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout from exc
        except (OSError, UnicodeError) as exc:  # the latter: a name that cannot be one
            raise httpcore.ConnectError from exc
        connected = writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            with contextlib.suppress(AttributeError, OSError):  # as far as this system has it
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return _Stream(reader, writer)


# Of seconds: silent for so long, asked so often, so many times.
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class _UnixBackend(httpcore.AsyncNetworkBackend):
    """Connects to unix sockets alone."""

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as exc:
            raise httpcore.ConnectError from exc
        return _Stream(reader, writer)


class _Stream(httpcore.AsyncNetworkStream):
    """Holds what is written until an answer is waited for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._held: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            if self._held:
                self._writer.write(b"".join(self._held))
                self._held.clear()
                await self._writer.drain()
            return await self._reader.read(max_bytes)
        except OSError as exc:
            raise httpcore.ReadError from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._held.append(buffer)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except OSError as exc:
            await self.aclose()
            failed = httpcore.ConnectTimeout if isinstance(exc, TimeoutError) else httpcore.ConnectError
            raise failed from exc
        return self

    async def aclose(self) -> None:
        self._writer.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """Tell whether an idle connection has ended, which httpcore calls readable."""
        if info != "is_readable":
            return None
        poll = select.poll()
        poll.register(self._writer.get_extra_info("socket"), select.POLLIN)
        return bool(poll.poll(0))

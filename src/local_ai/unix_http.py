"""One HTTP exchange with supervisord or a program of ours, by http.client, within one time limit.

http.client alone knows no unix sockets, and its timeout restarts with each read: a server that sends a
byte now and then would keep a command for ever.
"""

import http.client
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Address = Path | tuple[str, int]  # a unix socket, or a host and a TCP port

_MOST_BYTES = 16 * 1024 * 1024  # supervisord's longest answer is some kilobytes


@dataclass(frozen=True)
class Answer:
    """A response: its status, and its whole body."""

    status: int
    body: bytes


def exchange(
    address: Address,
    path: str,
    *,
    timeout_s: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a GET, or a POST where there is a body, and read the answer to its end.

    Args:
        timeout_s: Longest time for everything together, in seconds.

    Raises:
        OSError: Nothing listens there (FileNotFoundError, ConnectionRefusedError), the connection broke, or
            there was no whole answer within `timeout_s` (TimeoutError).
        http.client.HTTPException: That was no whole HTTP answer.
    """
    connection = _Connection(address, timeout_s)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        response = connection.getresponse()
        received = response.read(_MOST_BYTES)
        if response.length:  # cut off, or too long
            raise http.client.IncompleteRead(received, response.length)
        return Answer(response.status, received)
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Address, timeout_s: float) -> None:
        host, port = address if isinstance(address, tuple) else ("localhost", None)
        super().__init__(host, port)
        self._address = address
        self._timeout_s = timeout_s

    def connect(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        if isinstance(self._address, tuple):
            plain = socket.create_connection(self._address, timeout=self._timeout_s)
            self.sock = _TimedSocket(deadline, fileno=plain.detach())
        else:
            self.sock = _TimedSocket(deadline, socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self._timeout_s)
            self.sock.connect(str(self._address))


class _TimedSocket(socket.socket):
    """A socket whose reads and writes all end at one moment."""

    def __init__(self, deadline: float, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline = deadline

    def sendall(self, *arguments: Any) -> None:
        self._limit()
        super().sendall(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        self._limit()
        return super().recv_into(*arguments)

    def _limit(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)

"""One small HTTP exchange with supervisord or a program of ours, within a time limit.

By hand, for importing http.client (with its mail and TLS modules) costs more than all else that `status`
does. Enough for servers on this machine that answer with a whole body; nothing for the rest of the world.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from local_ai.frozen import dataclass

Address = Path | tuple[str, int]  # a unix socket, or a host and a TCP port

_MOST_BYTES = 16 * 1024 * 1024  # supervisord's longest answer is some kilobytes


class WireError(Exception):
    """Somebody listens, but gave no whole answer in time."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


def exchange(
    address: Address,
    path: str,
    *,
    timeout_s: float,
    body: bytes | None = None,
    headers: tuple[str, ...] = (),
) -> Answer:
    """Send a GET, or a POST where there is a body, and read the answer to its end.

    Args:
        timeout_s: Longest time for everything together, in seconds.
        headers: Whole lines, such as "Accept: application/json".

    Raises:
        OSError: Nobody listens there (FileNotFoundError, ConnectionRefusedError), or the connection broke.
        WireError: No whole HTTP answer within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with _connect(address, timeout_s) as connection:
            connection.sendall(_request(address, path, body, headers))
            received = bytearray()
            # HTTP/1.0: the server closes the connection behind its answer.
            while chunk := connection.recv(65536):
                received += chunk
                left = deadline - time.monotonic()
                if left <= 0 or len(received) > _MOST_BYTES:
                    raise WireError("the answer did not end")
                connection.settimeout(left)
    except TimeoutError as exc:
        raise WireError(f"no answer within {timeout_s:g} s") from exc
    return _parse(bytes(received))


def _connect(address: Address, timeout_s: float) -> socket.socket:
    if isinstance(address, tuple):
        host, port = address
        # As bytes, or Python would first load a codec for international names.
        name = host.encode() if host.isascii() else host
        return socket.create_connection((name, port), timeout=timeout_s)  # type: ignore[arg-type]
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(str(address))
    except BaseException:
        connection.close()
        raise
    return connection


def _request(address: Address, path: str, body: bytes | None, headers: tuple[str, ...]) -> bytes:
    host = "localhost"
    if isinstance(address, tuple):
        host = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.0", f"Host: {host}", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def _parse(received: bytes) -> Answer:
    head, separator, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    words = status_line.split(" ", 2)
    if not separator or not words[0].startswith("HTTP/") or len(words) < 2 or not words[1].isdecimal():
        raise WireError("that was no HTTP answer")
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() == "content-length" and value.strip() != str(len(body)):
            raise WireError("the answer was cut off")
    return Answer(int(words[1]), body)

"""One exchange with a server that does as it should, and with several that do not."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from local_ai.unix_http import exchange


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent."""

    def do_GET(self) -> None:
        self._answer(f"{self.path} {self.headers['Accept']}".encode())

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "127.0.0.1", server.server_port
        server.shutdown()


@contextmanager
def saying(say: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """Listen, and treat the one who connects as `say` does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                say(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()
        thread.join()


def test_a_get_brings_path_and_headers(echo: tuple[str, int]):
    answer = exchange(echo, "/here", timeout_s=5, headers={"Accept": "a/b"})

    assert (answer.status, answer.body) == (201, b"/here a/b")


def test_a_body_is_posted(echo: tuple[str, int]):
    assert exchange(echo, "/", timeout_s=5, body=b"x" * 200_000).body == b"x" * 200_000


@pytest.mark.parametrize(
    "said",
    [b"", b"hello", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"],
    ids=["nothing", "no HTTP", "half a body"],
)
def test_less_than_an_answer_is_an_error(said: bytes):
    with (
        saying(lambda connection: connection.sendall(said)) as address,
        pytest.raises(http.client.HTTPException),
    ):
        exchange(address, "/", timeout_s=5)


def test_silence_is_an_error_after_the_timeout():
    over = threading.Event()

    with saying(lambda connection: over.wait(5) and None) as address:
        with pytest.raises(TimeoutError):
            exchange(address, "/", timeout_s=0.1)
        over.set()


def test_an_answer_in_drops_is_an_error_after_the_timeout_of_the_whole():
    def drip(connection: socket.socket) -> None:
        with suppress(OSError):  # the other side has hung up
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
            while True:
                connection.sendall(b".")
                time.sleep(0.01)

    # The whole would take hours.
    with saying(drip) as address, pytest.raises(TimeoutError):
        exchange(address, "/", timeout_s=0.3)


def test_nobody_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "socket", "/", timeout_s=1)

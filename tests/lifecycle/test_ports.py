"""Is the port free, and if not, whose is it?"""

import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from local_ai.errors import LocalAIError
from local_ai.lifecycle.ports import check_port

STATE_DIR = Path("/home/ada/.local/state/local-ai")


def failure(host: str, port: int) -> LocalAIError:
    with pytest.raises(LocalAIError) as caught:
        check_port(host, port, state_dir=STATE_DIR)
    return caught.value


@contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        # A stranger that never answers: accepted by the kernel, read by nobody.
        yield server.getsockname()[1]


def test_free_port_passes():
    with listener() as port:
        pass

    check_port("127.0.0.1", port, state_dir=STATE_DIR)


def test_taken_port_names_the_program_and_its_pid():
    with listener() as port:
        error = failure("127.0.0.1", port)

    name = psutil.Process().name()
    assert error.exit_code == 5
    assert str(error) == (
        "error: the server did not start\n"
        f"  why: port {port} on 127.0.0.1 is already in use ({name}, pid {os.getpid()})\n"
        f"  fix: stop that program, or choose another port: local-ai server start --port {port + 1}"
    )


def test_port_of_another_local_ai_names_its_state_directory():
    with another_local_ai("/home/bob/state/local-ai") as port:
        error = failure("127.0.0.1", port)

    assert error.exit_code == 5
    assert str(error) == (
        "error: the server did not start\n"
        f"  why: port {port} on 127.0.0.1 is used by another local-ai, whose state is in "
        "/home/bob/state/local-ai\n"
        f"  fix: XDG_STATE_HOME=/home/bob/state local-ai server stop, or give this one --port {port + 1}"
    )


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"], ids=["unknown-name", "not-this-machine"])
def test_address_that_is_not_ours_is_a_settings_error(host: str):
    error = failure(host, 8080)

    assert error.exit_code == 2
    assert error.what == "the gateway cannot listen on that address"
    assert error.why.startswith(f"{host} is not an address of this machine")
    assert error.fix == 'set server.host = "127.0.0.1" in config.toml, or give --host 127.0.0.1'


@contextmanager
def another_local_ai(state_dir: str) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"service": "local-ai", "state_dir": state_dir}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()

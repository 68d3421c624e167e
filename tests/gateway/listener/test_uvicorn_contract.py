"""The parts of uvicorn that our protocol and server build on: each is named here if an upgrade changes it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from local_ai.gateway.listener.server import uvicorn_config


class _Transport(asyncio.Transport):
    """A connection that takes what is written, and reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.written += b"(closed)"

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def _wait(_scope: Any, _receive: Any, _send: Any) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def protocol() -> Iterator[HttpToolsProtocol]:
    """Uvicorn's own, with a request whose head has come."""

    async def make() -> HttpToolsProtocol:
        made = HttpToolsProtocol(uvicorn_config(_wait), ServerState(), {})
        made.connection_made(_Transport())
        made.data_received(b"POST /path?query HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n")
        return made

    loop = asyncio.new_event_loop()
    made = loop.run_until_complete(make())
    yield made
    made.pipeline.clear()
    for task in made.tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*made.tasks, return_exceptions=True))
    loop.close()


def test_a_connection_has(protocol: HttpToolsProtocol) -> None:
    used = "config connections cycle flow headers limit_concurrency loop parser pipeline scope transport url"

    assert [name for name in f"{used} app tasks".split() if not hasattr(protocol, name)] == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("connection_made", ["transport"]),
        ("connection_lost", ["exc"]),
        ("data_received", ["data"]),
        ("eof_received", []),
        ("pause_writing", []),
        ("resume_writing", []),
        ("on_message_begin", []),
        ("on_header", ["name", "value"]),
        ("on_headers_complete", []),
        ("on_body", ["body"]),
        ("on_response_complete", []),
        ("send_400_response", ["msg"]),
        ("_start_asgi_task", ["cycle", "app"]),
        ("_unset_keepalive_if_required", []),
        ("on_url", ["url"]),
        ("on_message_complete", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_connection_is_told_by(name: str, arguments: list[str]) -> None:
    assert [*inspect.signature(getattr(HttpToolsProtocol, name)).parameters][1:] == arguments


def test_a_connection_is_made_with_these_arguments() -> None:
    parameters = [*inspect.signature(HttpToolsProtocol.__init__).parameters][1:]

    assert parameters == ["config", "server_state", "app_state", "_loop"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("response_started", False),
        ("response_complete", False),
        ("more_body", True),
        ("keep_alive", True),
        ("disconnected", False),
        ("chunked_encoding", None),
        ("expected_content_length", 0),
    ],
)
def test_a_request_begins_with(protocol: HttpToolsProtocol, name: str, value: object) -> None:
    assert getattr(protocol.cycle, name) == value


def test_the_scope_and_the_connection_share_one_list_of_headers(protocol: HttpToolsProtocol) -> None:
    assert protocol.scope["headers"] is protocol.headers
    assert protocol.url == b"/path?query"
    assert protocol.scope["http_version"] == "1.1"


def test_requests_sent_ahead_wait_in_the_pipeline(protocol: HttpToolsProtocol) -> None:
    protocol.data_received(b"{}GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")

    assert [cycle for cycle, _ in protocol.pipeline] == [protocol.cycle]
    assert isinstance(protocol.cycle, RequestResponseCycle)


@pytest.mark.parametrize("name", ["startup", "handle_exit", "serve"])
def test_a_server_can_be_told(name: str) -> None:
    assert callable(getattr(uvicorn.Server, name))

"""Whatever is sent, the gateway answers in words: no 500, no traceback, nothing that is not listed."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateway.fakes import FakeEngine, Gateway
from tests.waits import scaled

from local_ai.gateway.forwarding.routes import ROUTES

_QUICKLY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.dictionaries(
    st.sampled_from(
        ["model", "stream", "messages", "max_tokens", "max_completion_tokens", "adapters", "top_k", "x"]
    ),
    _JSON,
)
_PATHS = st.sampled_from([route.path for route in ROUTES if route.takes == "application/json"])


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of what is sent here may end in a traceback in the log."""
    with caplog.at_level(logging.INFO):
        yield
    assert [record for record in caplog.get_records("call") if record.exc_info] == []


@_QUICKLY
@given(path=_PATHS, body=_FIELDS)
def test_any_object_is_forwarded_or_refused(
    client: httpx.Client, engine: FakeEngine, path: str, body: dict[str, object]
) -> None:
    answer = client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert answer.status_code in {200, 400, 404}


@_QUICKLY
@given(
    path=_PATHS, body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "text/plain", "x"])
)
def test_any_bytes_are_refused(
    client: httpx.Client, engine: FakeEngine, path: str, body: bytes, kind: str
) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": kind})

    assert answer.status_code in {200, 400, 415}
    assert "Traceback" not in answer.text


@_QUICKLY
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]),
    folder=st.sampled_from(["/", "/v1/", "/v1/models/", "/anthropic/v1/models/", "/logs/", "/assets/"]),
    rest=st.text(max_size=30),
)
def test_any_path_is_answered_in_words(
    client: httpx.Client, engine: FakeEngine, method: str, folder: str, rest: str
) -> None:
    name = quote(rest.encode("utf-8", "surrogatepass"), safe="/~")

    answer = client.request(method, f"{folder}{name}")

    assert answer.status_code < 500
    assert engine.requests == []


# As a client may send them: no line ends, which would be more headers.
_HEADER_TEXT = st.binary(max_size=300).map(lambda raw: raw.translate(None, b"\r\n\0"))
_HEADER_NAMES = st.sampled_from(
    [
        b"accept",
        b"anthropic-version",
        b"authorization",
        b"connection",
        b"content-type",
        b"expect",
        b"host",
        b"if-none-match",
        b"last-event-id",
        b"origin",
        b"range",
        b"transfer-encoding",
        b"upgrade",
        b"user-agent",
        b"x-api-key",
        b"x-request-id",
    ]
)


@_QUICKLY
@given(
    request=st.sampled_from(
        [b"POST /v1/chat/completions", b"POST /anthropic/v1/messages", b"GET /", b"GET /v1/models"]
    ),
    headers=st.lists(st.tuples(_HEADER_NAMES, _HEADER_TEXT), max_size=5),
    length=st.sampled_from([b"2", b"2", b"2", b"0", b"-1", b"02", b"2, 2"]),
)
def test_any_headers_are_answered_in_words(
    gateway: Gateway,
    engine: FakeEngine,
    request: bytes,
    headers: list[tuple[bytes, bytes]],
    length: bytes,
) -> None:
    """Over a socket: clients' libraries do not let most of these out."""
    port = gateway.context.state.settings.server.port
    lines = [request + b" HTTP/1.1", b"host: localhost", b"content-type: application/json"]
    lines += [name + b": " + value for name, value in headers]
    lines += [b"content-length: " + length, b"connection: close", b"", b"{}"]
    with socket.create_connection(("127.0.0.1", port), timeout=scaled(10)) as connection:
        connection.sendall(b"\r\n".join(lines))
        answer = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk

    statuses = re.findall(rb"^HTTP/1\.1 (\d+) ", bytes(answer), re.MULTILINE)
    assert statuses
    assert all(int(status) < 500 for status in statuses), bytes(answer)
    assert b"Traceback" not in answer


def test_unknown_home_folder_in_a_models_name_is_just_unknown(client: httpx.Client) -> None:
    assert client.get("/v1/models/~nobody-has-this-name/model").status_code == 404

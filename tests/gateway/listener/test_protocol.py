"""The bounds at the door: each is told in words, over real sockets, and harms nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from tests.gateway.fakes import (
    FakeEngine,
    Gateway,
    make_patient_state,
    make_test_state,
    run_engine,
    run_gateway,
)
from tests.gateway.running import output_of, running_gateway, wait_for_answer
from tests.server import wait_until
from tests.waits import scaled
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local_ai.gateway.forwarding import request_body
from local_ai.gateway.listener.protocol import MOST_HEAD_BYTES, MOST_HEADERS, MOST_URL_BYTES, BoundedProtocol

CHAT = "/v1/chat/completions"


@contextmanager
def connected(gateway: Gateway) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=scaled(20)) as connection:
        yield connection


def port_of(gateway: Gateway) -> int:
    return gateway.context.state.settings.server.port


def answer_on(connection: socket.socket) -> bytes:
    """One answer, to its end; the connection stays."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    size = int(received.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(received.partition(b"\r\n\r\n")[2]) < size:
        received += connection.recv(65536)
    return received


def everything(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    received = bytearray()
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return bytes(received)


def exchange(gateway: Gateway, *parts: bytes) -> bytes:
    """Send it all and read until the gateway closes."""
    with connected(gateway) as connection:
        for part in parts:
            connection.sendall(part)
        return everything(connection)


def head(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *headers, "", ""]).encode()


def test_long_address_is_refused_in_the_dialect(gateway: Gateway) -> None:
    answer = exchange(gateway, head("/v1/models/" + "x" * MOST_URL_BYTES))

    status, _, body = answer.partition(b"\r\n\r\n")
    assert status.startswith(b"HTTP/1.1 414 ")
    assert b"connection: close" in status.lower()
    assert json.loads(body)["error"]["message"] == (
        "the request's address is too long: it has more than 8 KB. To fix it: send long values in the body"
    )


def test_large_headers_are_refused_in_words(gateway: Gateway) -> None:
    answer = exchange(gateway, head("/", f"cookie: {'x' * MOST_HEAD_BYTES}"))

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.endswith(
        b"the request's headers are too large\n"
        b"  why: together they have more than 32 KB\n"
        b"  fix: send smaller headers; for a browser, clear the cookies of this address\n"
    )


@pytest.mark.parametrize(
    ("endless", "status"),
    [
        (b"GET /" + b"x" * 2 * MOST_HEAD_BYTES, b"414"),
        (b"GET / HTTP/1.1\r\ncookie: " + b"x" * 2 * MOST_HEAD_BYTES, b"431"),
    ],
    ids=["address", "header"],
)
def test_head_without_end_is_refused_before_it_ends(gateway: Gateway, endless: bytes, status: bytes) -> None:
    assert exchange(gateway, endless).startswith(b"HTTP/1.1 " + status)


def test_too_many_headers_are_refused(gateway: Gateway) -> None:
    answer = exchange(gateway, head("/v1/models", *(f"x-{number}: y" for number in range(MOST_HEADERS))))

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"it has 101, and at most 100 are taken" in answer


def test_what_is_no_http_is_refused_in_words(gateway: Gateway) -> None:
    answer = exchange(gateway, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"send plain HTTP (not HTTPS, not HTTP/2) with well-formed headers" in answer


def test_body_that_breaks_its_own_encoding_is_refused_at_once(gateway: Gateway) -> None:
    sent = head(CHAT, "content-type: application/json", "transfer-encoding: chunked", method="POST")

    answer = exchange(gateway, sent, b"not a length\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_slow_head_is_refused_and_one_that_never_begins_is_closed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BoundedProtocol.head_s == 30  # the first head of a client of a busy machine came after 10
    monkeypatch.setattr(BoundedProtocol, "head_s", 0.2)

    assert exchange(gateway) == b""
    answer = exchange(gateway, b"GET /v1/models HTTP/1.1\r\nhost: local")

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"its headers were not complete after 0.2 s" in answer


def test_head_that_came_while_the_gateway_stood_still_is_not_late(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = BoundedProtocol.connection_made

    def accept_and_stand_still(connection: BoundedProtocol, transport: asyncio.Transport) -> None:
        accept(connection, transport)
        time.sleep(0.4)

    monkeypatch.setattr(BoundedProtocol, "head_s", 0.1)
    monkeypatch.setattr(BoundedProtocol, "connection_made", accept_and_stand_still)

    assert exchange(gateway, head("/healthz", "connection: close")).startswith(b"HTTP/1.1 200 ")


def test_blank_lines_do_not_keep_a_connection(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_s", 0.2)

    with connected(gateway) as connection:
        connection.sendall(b"\r\n")

        assert everything(connection) == b""


def test_body_that_stops_coming_is_refused_and_its_connection_closed(
    gateway: Gateway, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert request_body.STALL_S == 30
    monkeypatch.setattr(request_body, "STALL_S", 0.2)

    answer = exchange(
        gateway,
        head(CHAT, "content-type: application/json", "content-length: 100", method="POST") + b'{"messages',
    )

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"after 10 bytes of its body almost nothing came for 0.2 s" in answer
    assert engine.requests == []


def test_client_that_leaves_in_the_middle_of_its_body_leaves_no_traceback(
    gateway: Gateway, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), connected(gateway) as connection:
        connection.sendall(
            head(CHAT, "content-type: application/json", "content-length: 100", method="POST") + b"{"
        )
        client.get("/healthz")
        connection.close()
        client.get("/healthz")

    assert [record.message for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("opening", ["[", '{"a":'], ids=["arrays", "objects"])
@pytest.mark.parametrize("levels", [200, 5000])
def test_deep_json_is_refused(client: httpx.Client, engine: FakeEngine, opening: str, levels: int) -> None:
    closing = "]" if opening == "[" else "}"
    body = '{"x": ' + opening * levels + "1" + closing * levels + "}"

    answer = client.post(CHAT, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert "it is nested too deeply" in answer.json()["error"]["message"]
    assert engine.requests == []


def test_json_that_is_wide_or_ninety_nine_levels_deep_is_taken(
    client: httpx.Client, engine: FakeEngine
) -> None:
    for value in ("[" * 99 + "]" * 99, json.dumps([[]] * 5000)):
        answer = client.post(
            CHAT, content='{"x": ' + value + "}", headers={"content-type": "application/json"}
        )
        assert answer.status_code == 200


def test_large_bodies_at_once_never_fill_the_memory(tmp_path: Path) -> None:
    """Four of the largest size have room; small ones always have, and room comes back."""
    state = make_test_state(tmp_path, gateway={"max_body_mb": 1})
    large = {"model": "slow", "input": "x" * 1_000_000}
    with (
        run_engine(FakeEngine(), state.paths.engine_socket) as engine,
        run_gateway(state) as gateway,
        httpx.Client(base_url=gateway.url, timeout=scaled(20)) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        running = [pool.submit(client.post, CHAT, json=large) for _ in range(4)]
        wait_until(lambda: len(engine.requests) == 4)
        refused = client.post(CHAT, json=large)
        small = client.post(CHAT, json={"model": "tiny"})
        engine.release.set()
        answered = [each.result().status_code for each in running]
        again = client.post(CHAT, json=large)

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.json()["error"]["message"] == (
            "the request cannot be held now: the large requests under way fill the 4 MB there are for them "
            "(4 times gateway.max_body_mb). To fix it: try again in a moment, or send less at once"
        )
        assert (small.status_code, answered, again.status_code) == (200, [200] * 4, 200)
        wait_until(lambda: gateway.context.body_memory.free == gateway.context.body_memory.most_bytes)


def test_refused_body_leaves_its_room_to_others(gateway: Gateway, client: httpx.Client) -> None:
    refused = client.post(CHAT, content=b"x" * 1_000_000, headers={"content-type": "application/json"})

    assert refused.status_code == 400
    assert gateway.context.body_memory.free == gateway.context.body_memory.most_bytes


def test_connection_whose_client_takes_nothing_is_cut(
    gateway: Gateway, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "stuck_s", 0.2)
    with connected(gateway) as connection:
        connection.sendall(ask("flood"))
        wait_until(lambda: gateway.context.forwarding.request_queue.requests())

        wait_until(lambda: connection.getsockname() not in peers_of(gateway))
    wait_until(lambda: gateway.context.forwarding.request_queue.requests() == ())


def test_answer_is_given_whole_to_a_client_that_is_slow_and_takes_it(
    gateway: Gateway, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes several times as long as a client may take nothing."""
    monkeypatch.setattr(BoundedProtocol, "stuck_s", 1.0)
    body = json.dumps({"model": "plain", "text": "x" * 12_000_000}).encode()
    size = f"content-length: {len(body)}"
    pause, began = threading.Event(), time.monotonic()
    with connected(gateway) as connection:
        connection.sendall(head(CHAT, "content-type: application/json", size, method="POST") + body)
        received = 0
        while received < len(body):
            chunk = connection.recv(400_000)
            assert chunk, f"cut off after {received} bytes"
            received += len(chunk)
            pause.wait(0.12)

    assert time.monotonic() - began > 3 * 1.0


def test_rest_of_an_answer_that_nobody_takes_is_dropped(
    gateway: Gateway, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole answers, one after another on a connection that is never read."""
    monkeypatch.setattr(BoundedProtocol, "stuck_s", 0.2)
    body = json.dumps({"model": "plain", "text": "x" * 3_000_000}).encode()
    size = f"content-length: {len(body)}"
    with connected(gateway) as connection:
        for _ in range(3):
            connection.sendall(head(CHAT, "content-type: application/json", size, method="POST") + body)

        wait_until(lambda: connection.getsockname() not in peers_of(gateway))


def test_refusal_of_a_large_body_reaches_a_client_that_closes_its_connection(tmp_path: Path) -> None:
    state = make_test_state(tmp_path, gateway={"max_body_mb": 1})
    with run_gateway(state) as gateway:
        answer = exchange(
            gateway,
            head(
                CHAT, "content-type: application/json", "content-length: 5000000", "connection: close",
                method="POST",
            ),
            b"x" * 5_000_000,
        )  # fmt: skip

    assert answer.startswith(b"HTTP/1.1 413 ")


def peers_of(gateway: Gateway) -> set[tuple[str, int]]:
    """Addresses of the clients whose connections the gateway, in this process, still has open."""
    connections = psutil.Process().net_connections("tcp")
    return {c.raddr for c in connections if c.laddr.port == port_of(gateway) and c.raddr}


def test_two_hundred_half_open_connections_keep_nobody_waiting(
    gateway: Gateway, client: httpx.Client, engine: FakeEngine
) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connected(gateway)).sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: ")

        answers = [client.get("/healthz"), client.post(CHAT, json={"messages": []})]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_connections_never_use_up_the_file_descriptors(tmp_path: Path) -> None:
    """With 256, macOS's default, there is room for 32; idle ones make way, those at work do not."""
    state = make_patient_state(tmp_path, wait_s=5)
    url = f"http://127.0.0.1:{state.settings.server.port}"
    with (
        run_engine(FakeEngine(), state.paths.engine_socket) as engine,
        running_gateway(state, descriptors=256) as process,
        ExitStack() as stack,
    ):
        wait_for_answer(url)
        connect = partial(
            socket.create_connection, ("127.0.0.1", state.settings.server.port), timeout=scaled(20)
        )
        for _ in range(300):
            stack.enter_context(connect()).sendall(b"GET / HTTP")
        assert httpx.get(f"{url}/healthz").status_code == 200

        for _ in range(32):
            stack.enter_context(connect()).sendall(ask("slow"))
        wait_until(lambda: len(engine.requests) == 16)
        refused = httpx.get(f"{url}/healthz")
        engine.release.set()

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.text == (
            "error: the gateway cannot take another connection\n"
            "  why: all its 32 connections are busy with a request\n"
            "  fix: try again in a moment, or use fewer connections\n"
        )
        wait_until(lambda: len(engine.requests) == 32)
        wait_until(lambda: answers(url))
        process.terminate()
        assert "Traceback" not in output_of(process)


def answers(url: str) -> bool:
    return httpx.get(f"{url}/healthz").status_code == 200


def ask(model: str) -> bytes:
    body = json.dumps({"model": model}).encode()
    size = f"content-length: {len(body)}"
    return head(CHAT, "content-type: application/json", size, method="POST") + body


def test_pipelined_requests_are_answered_in_order_and_then_what_is_wrong(gateway: Gateway) -> None:
    answer = exchange(gateway, head("/healthz") + head("/v1/models") + b"no http\r\n\r\n")

    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.index(b'"service"') < answer.index(b'"object":"list"') < answer.index(b"HTTP/1.1 400 ")


def test_connection_is_kept_from_request_to_request(gateway: Gateway) -> None:
    with connected(gateway) as connection:
        for _ in range(3):
            connection.sendall(head("/healthz"))
            assert answer_on(connection).startswith(b"HTTP/1.1 200 ")


def test_trailers_are_dropped(gateway: Gateway, engine: FakeEngine) -> None:
    """They come after the checks of the head: none may pass for a header (RFC 9110, section 6.5.1)."""
    sent = head(CHAT, "content-type: application/json", "transfer-encoding: chunked", method="POST")
    trailers = b"host: evil.example\r\ncontent-type: text/plain\r\nuser-agent: trailer\r\nx-request-id: t\r\n"
    with connected(gateway) as connection:
        connection.sendall(sent + b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n" + head("/healthz"))
        answers = answer_on(connection)

    assert answers.startswith(b"HTTP/1.1 200 ")
    assert "trailer" not in engine.headers[0].get("user-agent", "")
    assert engine.headers[0]["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/healthz", CHAT])
@pytest.mark.parametrize(
    "endless",
    [b"x: " + b"y" * 1000 + b"\r\n", b"y" * 1000, b"1;" + b"y" * 1000],
    ids=["many trailers", "one long trailer", "one long line"],
)
def test_what_follows_a_body_without_end_is_not_kept(gateway: Gateway, path: str, endless: bytes) -> None:
    """The last chunk never ends, whether its request has been answered or not."""
    sent = head(path, "content-type: application/json", "transfer-encoding: chunked", method="POST")
    begin = {b"1": b"", b"y": b"0\r\nx: ", b"x": b"0\r\n"}[endless[:1]]
    sent_bytes = 0
    with connected(gateway) as connection:
        connection.sendall(sent + b"2\r\n{}\r\n" + begin)
        with contextlib.suppress(ConnectionError):
            while sent_bytes < 20_000_000:
                connection.sendall(endless * 50)
                sent_bytes += len(endless) * 50

    assert sent_bytes < 8_000_000  # mostly what the sockets hold


def test_body_of_many_small_chunks_is_taken(gateway: Gateway, engine: FakeEngine) -> None:
    sent = head(CHAT, "content-type: application/json", "transfer-encoding: chunked", method="POST")
    body = json.dumps({"text": "x" * 20_000}).encode()
    with connected(gateway) as connection:
        for byte in (sent, *(b"1;a=b\r\n%c\r\n" % byte for byte in body), b"0\r\n\r\n"):
            connection.sendall(byte)

        assert answer_on(connection).startswith(b"HTTP/1.1 200 ")


def test_chunks_of_one_byte_that_came_together_are_handed_on_together(
    gateway: Gateway, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alone would be added to all before it, and a million of them hold everybody up."""
    sizes: list[int] = []
    hand_on = HttpToolsProtocol.on_body

    def counted(protocol: HttpToolsProtocol, body: bytes) -> None:
        sizes.append(len(body))  # also in the fake engine
        hand_on(protocol, body)

    monkeypatch.setattr(HttpToolsProtocol, "on_body", counted)
    sent = head(CHAT, "content-type: application/json", "transfer-encoding: chunked", method="POST")
    body = json.dumps({"text": "x" * 20_000}).encode()
    with connected(gateway) as connection:
        connection.sendall(sent + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")

        assert answer_on(connection).startswith(b"HTTP/1.1 200 ")
    assert engine.requests
    assert sum(sizes) == 2 * len(body)
    assert len(sizes) < len(body) / 100


def test_requests_sent_ahead_without_end_wait_with_their_client(gateway: Gateway, engine: FakeEngine) -> None:
    """A few are parsed, a few kept as they came; the rest stays in the sockets until there is room."""
    with connected(gateway) as connection, ThreadPoolExecutor(1) as pool:
        connection.sendall(ask("slow"))
        wait_until(lambda: engine.requests)
        connection.setblocking(False)
        sent, once = 0, head("/healthz") * 2000
        with contextlib.suppress(BlockingIOError):
            while sent < 100_000_000:
                sent += connection.send(once)
        assert sent < 20_000_000  # what the sockets hold
        connection.setblocking(True)
        connection.settimeout(scaled(20))
        answers = pool.submit(everything, connection)
        connection.shutdown(socket.SHUT_WR)
        engine.release.set()
        whole = sent // len(head("/healthz"))

        assert answers.result().count(b"HTTP/1.1 200 ") == 1 + whole


def test_answer_before_another_of_a_half_closed_client_is_whole(gateway: Gateway, engine: FakeEngine) -> None:
    """Nothing is written into it to find out whether the client has left."""
    with connected(gateway) as connection:
        connection.sendall(ask("slow-stream") + head("/healthz"))
        wait_until(lambda: engine.requests)
        connection.shutdown(socket.SHUT_WR)
        threading.Timer(0.5, engine.release.set).start()
        answer = everything(connection)

    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert b"HTTP/1.1 100 " not in answer


def test_kept_connection_takes_any_number_of_requests(gateway: Gateway) -> None:
    with connected(gateway) as connection:
        for _ in range(100):
            connection.sendall(head("/healthz", f"x-padding: {'x' * 1000}"))
            assert answer_on(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("name", ["Host", "Origin", "Authorization", "x-api-key", "Content-Type"])
def test_header_that_two_readers_could_read_differently_is_refused(gateway: Gateway, name: str) -> None:
    answer = exchange(
        gateway, head("/v1/models", f"{name}: localhost", f"{name}: localhost", "connection: close")
    )

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert f"it has more than one {name.lower()} header".encode() in answer


@pytest.mark.parametrize(
    "encoding",
    [
        "Content-Encoding: gzip",
        "Content-Encoding: identity, br",
        "Content-Encoding: x",
        "Transfer-Encoding: gzip, chunked",
    ],
)
def test_encoded_body_is_refused(gateway: Gateway, engine: FakeEngine, encoding: str) -> None:
    sent = head(CHAT, "content-type: application/json", encoding, "connection: close", method="POST")

    answer = exchange(gateway, sent, b"0\r\n\r\n" if "chunked" in encoding else b"")

    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"unsupported_encoding" in answer
    assert engine.requests == []


@pytest.mark.parametrize("encoding", ["", " ", "identity", "Identity", ", identity", "identity, identity"])
def test_body_whose_encoding_is_none_is_taken(gateway: Gateway, engine: FakeEngine, encoding: str) -> None:
    body = b'{"model": "tiny"}'
    more = ("content-type: application/json", f"content-length: {len(body)}", f"Content-Encoding: {encoding}")

    answer = exchange(gateway, head(CHAT, *more, "connection: close", method="POST"), body)

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("model", ["stream", "sound", "tiny"])
def test_client_of_http_1_0_gets_its_answer_without_chunks(
    gateway: Gateway, engine: FakeEngine, model: str
) -> None:
    body = json.dumps({"model": model, "stream": model == "stream"})
    lines = f"POST {CHAT} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n"

    answer = exchange(gateway, f"{lines}content-length: {len(body)}\r\n\r\n{body}".encode())

    top, _, rest = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in top.lower()
    assert rest.endswith({"stream": b"data: [DONE]\n\n", "sound": b"\x00RIFF", "tiny": b"}"}[model])


@pytest.mark.parametrize("path", ["/healthz", "/", "/logs/supervisord", "/nothing"])
def test_client_of_http_1_0_gets_any_of_our_own_answers(gateway: Gateway, path: str) -> None:
    answer = exchange(gateway, f"GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n".encode())

    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 404 "))
    assert b"transfer-encoding" not in answer.lower()


@pytest.mark.parametrize("model", ["slow", "slow-stream"])
def test_client_that_sends_no_more_gets_its_answer(gateway: Gateway, engine: FakeEngine, model: str) -> None:
    with connected(gateway) as connection:
        connection.sendall(ask(model))
        connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: engine.requests)
        threading.Timer(0.5, engine.release.set).start()  # after the gateway has looked whether it is there
        answer = everything(connection)

    assert b"HTTP/1.1 200 OK" in answer
    assert (b"data: two" if model == "slow-stream" else b'"echo"') in answer


def test_request_of_a_client_that_left_at_once_is_cancelled(gateway: Gateway, engine: FakeEngine) -> None:
    with connected(gateway) as connection:
        connection.sendall(ask("slow"))
        wait_until(lambda: engine.requests)

    assert engine.cancelled.wait(10)


def test_request_that_asks_for_another_protocol_is_answered_in_this_one(
    gateway: Gateway, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Java's client asks for HTTP/2 so."""
    upgrade = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
    size = ("content-type: application/json", "content-length: 2")
    with connected(gateway) as connection:
        for _ in range(2):
            connection.sendall(head(CHAT, *upgrade, *size, method="POST") + b"{}")
            assert answer_on(connection).startswith(b"HTTP/1.1 200 ")

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

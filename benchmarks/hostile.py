"""Requests that no client sends, by plain sockets: odd framing, half characters, large bodies."""

from __future__ import annotations

import json
import random
import socket
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from local_ai.settings.schema import GatewaySettings

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
MESSAGES = "/anthropic/v1/messages"
WILDCARD = "gpt-*"  # the server's alias
NOTHING = 0  # instead of a status: the connection was closed without an answer
_GONE = -1  # instead of a status: this client left first
_MOST_BODY_BYTES = GatewaySettings().max_body_mb * 1024 * 1024
_INTERIM = b"HTTP/1.1 100"  # any number of these come before the answer
_TEXTS = ("x", "\ud800", "\udfff", "\x00", "🙂", "漢字 ", "e\u0301", "\u202e", "\x1b[31m", "word ")
_USER = {"role": "user", "content": "What is the capital of France?"}


@dataclass(frozen=True)
class Hostile:
    """One request, as bytes, and how it may end."""

    content: bytes
    allowed: frozenset[int]
    half_closes: bool = False  # ends its side of the connection once all is sent
    leaves_after: int | None = None  # bytes of the answer, then the connection is reset


@dataclass(frozen=True)
class Answer:
    """All that came back."""

    status: int
    text: str


def _allowed(*more: int) -> frozenset[int]:
    return frozenset({200, 400, 404, 413, 415, 422, 429, 503, *more})


def exchange(port: int, hostile: Hostile, timeout_s: float) -> Answer:
    """Send a request and read until the server closes.

    Raises:
        OSError: No end came in time.
    """
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):  # refused before all was sent
            connection.sendall(hostile.content)
        if hostile.half_closes:
            with suppress(OSError):  # closed by the other side
                connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while hostile.leaves_after is None or len(received) < hostile.leaves_after:
                if not (part := connection.recv(65536)):
                    break
                received += part
        if hostile.leaves_after is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return Answer(_GONE, "")
    answer = bytes(received)
    while answer.startswith(_INTERIM):
        _, _, answer = answer.partition(b"\r\n\r\n")
    first, _, _ = answer.partition(b"\r\n")
    words = first.split(b" ")
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else NOTHING
    return Answer(status, answer.decode("utf-8", "replace"))


def _request(
    path: str, content: bytes, *headers: str, version: str = "1.1", host: str = "localhost"
) -> bytes:
    lines = [
        f"POST {path} HTTP/{version}",
        f"Host: {host}",
        "Content-Type: application/json",
        "Connection: close",
    ]
    sizes = [] if any("chunked" in header for header in headers) else [f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, *headers, *sizes, "", ""]).encode() + content


def _body(path: str, **fields: Any) -> bytes:
    text = {COMPLETIONS: {"prompt": "one two"}, RESPONSES: {"input": "one"}}.get(path, {"messages": [_USER]})
    most = "max_output_tokens" if path == RESPONSES else "max_tokens"
    return json.dumps({**text, most: 4, **fields}).encode()


def _any_path(luck: random.Random) -> str:
    return luck.choice((CHAT, COMPLETIONS, RESPONSES, MESSAGES))


def _chunks(luck: random.Random, content: bytes) -> bytes:
    out = bytearray()
    while content:
        size = luck.choice((1, 2, 7, 100, len(content)))
        part, content = content[:size], content[size:]
        extension = luck.choice((b"", b"", b";a=b", b";" + b"x" * 300))
        out += b"%x" % len(part) + extension + b"\r\n" + part + b"\r\n"
    return bytes(out)


def _trailers(luck: random.Random) -> Hostile:
    path = _any_path(luck)
    names = (
        "Host",
        "Content-Type",
        "Content-Length",
        "Transfer-Encoding",
        "X-Request-Id",
        "Authorization",
        "x",
    )
    count, size = luck.choice(((1, 10), (50, 100), (2_000, 10), (20, 50_000)))
    trailers = b"".join(f"{luck.choice(names)}: {'y' * size}\r\n".encode() for _ in range(count))
    content = _chunks(luck, _body(path)) + b"0\r\n" + trailers + b"\r\n"
    return Hostile(_request(path, content, "Transfer-Encoding: chunked"), _allowed(431, NOTHING))


def _odd_chunks(luck: random.Random) -> Hostile:
    path = _any_path(luck)
    content = bytearray(_chunks(luck, _body(path)) + b"0\r\n\r\n")
    for _ in range(luck.randint(1, 4)):
        at = luck.randrange(len(content))
        content[at : at + luck.randint(0, 3)] = luck.choice(
            (b"", b"-", b"\n", b"FFFFFFFFFFFFFFFF", b"\x00", b"\r")
        )
    asked = _request(path, bytes(content), "Transfer-Encoding: chunked")
    return Hostile(asked, _allowed(NOTHING, 408), half_closes=True)


def _odd_text(luck: random.Random) -> Hostile:
    path, text = _any_path(luck), "".join(luck.choices(_TEXTS, k=luck.randint(1, 12)))
    tool = {"name": text, "description": text, "input_schema": {"type": "object", "properties": {text: {}}}}
    fields = luck.choice(
        (
            {"model": text},
            {"model": "gpt-" + text},
            {"user": text},
            {"metadata": {text: text}},
            {"messages": [{"role": "user", "content": text}]},
            {"messages": [{"role": text, "content": text}]},
            {"tools": [tool]},
            {"stop": [text]},
            {text: text},
        )
    )
    return Hostile(_request(path, _body(path, **fields)), _allowed())


def _alias(luck: random.Random) -> Hostile:
    path, name = _any_path(luck), f"gpt-{luck.getrandbits(64):x}"
    return Hostile(_request(path, _body(path, model=name)), _allowed())


def _long_text(luck: random.Random) -> Hostile:
    size = luck.choice((100_000, 1_000_000, 5_000_000, 20_000_000))
    text = luck.choice(("a", "word ", "🙂", "\n", "漢 字 ")) * (size // 4)
    tool = {
        "type": "function",
        "function": {"name": "f", "description": text, "parameters": {"type": "object"}},
    }
    fields: dict[str, Any] = luck.choice(
        (
            {"messages": [{"role": "user", "content": text}]},
            {"tools": [tool]},
            {"stop": [text]},
            {"user": text},
        )
    )
    body = _body(CHAT, **fields)
    # Refused before all of it came, and reset while it still sends, a client may not read the answer.
    may_not_read = len(body) > _MOST_BODY_BYTES
    return Hostile(_request(CHAT, body), _allowed(NOTHING) if may_not_read else _allowed())


def _large_json(luck: random.Random) -> Hostile:
    count = luck.choice((10_000, 100_000, 1_000_000))
    content = luck.choice(
        (
            lambda: json.dumps({f"k{number}": number for number in range(count)}).encode(),
            lambda: _body(CHAT, metadata={f"k{number}": [] for number in range(count)}),
            lambda: b'{"messages":' + b"[" * count,
            lambda: b'{"messages":[' + b"{}," * count + b"{}]}",
            lambda: b'{"model":' + b"9" * count + b"}",
            lambda: b'{"messages":[' + b"[]," * count + b"1e999]}",
        )
    )()
    return Hostile(_request(_any_path(luck), content), _allowed())


def _two_headers(luck: random.Random) -> Hostile:
    name = luck.choice(
        ("Host", "Content-Type", "Content-Length", "Origin", "X-Request-Id", "Transfer-Encoding")
    )
    value = luck.choice(("localhost", "evil.example", "application/json", "7", "chunked", "\x7f"))
    return Hostile(
        _request(CHAT, _body(CHAT), f"{name}: {value}"), _allowed(403, NOTHING, 408), half_closes=True
    )


def _encoded(luck: random.Random) -> Hostile:
    encoding = luck.choice(("gzip", "deflate", "br", "zstd", "identity", "x-nonsense", "gzip, gzip"))
    content = zlib.compress(luck.choice((_body(CHAT), b"\x00" * 5_000_000)))
    if encoding == "identity":
        content = _body(CHAT)
    return Hostile(_request(CHAT, content, f"Content-Encoding: {encoding}"), _allowed())


def _old_version(luck: random.Random) -> Hostile:
    path, streams = _any_path(luck), luck.random() < 0.5
    return Hostile(_request(path, _body(path, stream=streams), version="1.0"), _allowed())


def _half_closed(luck: random.Random) -> Hostile:
    path, streams = _any_path(luck), luck.random() < 0.5
    return Hostile(_request(path, _body(path, stream=streams)), _allowed() - {NOTHING}, half_closes=True)


def _leaves(luck: random.Random) -> Hostile:
    path = _any_path(luck)
    content = _body(path, stream=luck.random() < 0.7)
    whole = _request(path, content)
    asked = whole[: luck.randint(1, len(whole))] if luck.random() < 0.3 else whole
    return Hostile(
        asked, frozenset({_GONE}), leaves_after=0 if asked != whole else luck.choice((0, 1, 200, 600))
    )


def _odd_fields(luck: random.Random) -> Hostile:
    path, fields = luck.choice(
        (
            (
                COMPLETIONS,
                {"prompt": "🙂 é 漢字", "logprobs": luck.randint(0, 6), "temperature": luck.random() * 2},
            ),
            (COMPLETIONS, {"prompt": []}),
            (COMPLETIONS, {"prompt_logprobs": 1, "min_tokens": 2}),
            (MESSAGES, {"thread": {"id": "x"}}),
            (RESPONSES + "/compact", {}),
            (RESPONSES + "/input_tokens", {"input": "x"}),
            (RESPONSES + f"/resp_{luck.getrandbits(40):x}/cancel", {}),
            ("/v1/audio/speech", {"model": f"m{luck.random()}", "input": "x", "voice": "y"}),
            ("/v1/images/generations", {"model": f"m{luck.random()}", "prompt": "x"}),
            (CHAT, {"enable_thinking": luck.choice((True, "x", [])), "draft-model": "x"}),
        )
    )
    return Hostile(_request(path, _body(path, **fields)), _allowed(405, 501))


KINDS: dict[str, Callable[[random.Random], Hostile]] = {
    "trailers": _trailers,
    "odd chunks": _odd_chunks,
    "half characters, control characters": _odd_text,
    "names under a wildcard alias": _alias,
    "a header given twice": _two_headers,
    "encoded bodies": _encoded,
    "HTTP/1.0": _old_version,
    "half-closed connections": _half_closed,
    "clients that leave": _leaves,
    "odd fields and addresses": _odd_fields,
    "long texts": _long_text,
    "large JSON": _large_json,
}
LARGE = frozenset({"long texts", "large JSON"})  # a few of these are as much work as many others
